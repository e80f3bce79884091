/**
 * Sockets of the node that a host port would shadow: packets are redirected before any socket sees them.
 *
 * @module
 */
import { IpAddress } from "../net/ip.ts";
import type { Connection } from "../netlink/connection.ts";
import {
  type ListeningSocket,
  listListeners,
  listTcpListeners,
} from "../sockdiag/listeners.ts";
import { parseSctpEndpoints } from "../sockdiag/sctp_endpoints.ts";
import { isWildcard } from "./elements.ts";
import type { HostPort } from "./mapping.ts";

/** Where to learn of the node's sockets. */
export interface SocketTables {
  /** Of the protocol NETLINK_SOCK_DIAG, in the node's namespace. */
  readonly diag: Connection;
  /** Contents of `/proc/net/sctp/eps` there, empty where the kernel has none; SCTP sockets are not looked for without. */
  readonly sctpEndpoints?: () => string;
  /** Sockets that are no obstacle. */
  readonly mayShadow?: (socket: ListeningSocket) => boolean;
}

/** A socket that listens on what the mapping asks for, an IPv6 socket on an IPv4 address shown as what it is. */
export function listenerOn(
  { diag, sctpEndpoints, mayShadow = () => false }: SocketTables,
  mapping: HostPort,
): ListeningSocket | undefined {
  const { protocol, hostPort } = mapping;
  const isInTheWay = (socket: ListeningSocket) =>
    shadows(mapping, socket) && !mayShadow(socket);
  if (protocol === "sctp") {
    return parseSctpEndpoints(sctpEndpoints?.() ?? "")
      .map((socket) => ({ ...socket, address: plain(socket.address) }))
      .find((socket) => socket.port === hostPort && isInTheWay(socket));
  }
  // An IPv6 socket may take IPv4 clients as well, so those are always looked at.
  const found = protocol === "tcp"
    ? listTcpListeners(diag, hostPort)
    : ([6, 4] as const).flatMap((family) =>
      family === 6 || mapping.families.includes(4)
        ? listListeners(diag, { protocol, family, port: hostPort })
        : []
    );
  return found.map((socket) => ({ ...socket, address: plain(socket.address) }))
    .find(isInTheWay);
}

function shadows(mapping: HostPort, socket: ListeningSocket): boolean {
  const { address } = socket;
  if (address.isUnspecified) {
    const families = address.family === 4 ? [4] : socket.v6Only ? [6] : [4, 6];
    return mapping.families.some((family) => families.includes(family));
  }
  if (isWildcard(mapping)) return mapping.families.includes(address.family);
  return mapping.hostIP?.equals(address) ?? false;
}

/** An IPv6 socket may be bound to an IPv4 address, written as `::ffff:192.0.2.1`. */
function plain(address: IpAddress): IpAddress {
  return address.isIpv4Mapped
    ? IpAddress.fromBytes(address.bytes.subarray(12))
    : address;
}

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
import { type HostPort, PORT_PROTOCOLS, type PortProtocol } from "./mapping.ts";

/** Where to learn of the node's sockets. */
export interface SocketTables {
  /** Of the protocol NETLINK_SOCK_DIAG, in the node's namespace. */
  readonly diag: Connection;
  /** Contents of `/proc/net/sctp/eps` there, empty where the kernel has none; SCTP sockets are not looked for without. */
  readonly sctpEndpoints?: () => string;
  /** Sockets that are no obstacle. */
  readonly mayShadow?: (socket: ListeningSocket) => boolean;
}

/**
 * For each of the mappings a socket that listens on what it asks for, an IPv6 socket on an IPv4 address shown as what it
 * is. Neighbouring ports are one question: the kernel looks through all of its places for listeners for each, 15 µs.
 */
export function listenersOn(
  tables: SocketTables,
  mappings: readonly HostPort[],
): (ListeningSocket | undefined)[] {
  const { mayShadow = () => false } = tables;
  const waiting = new Map<PortProtocol, readonly ListeningSocket[]>();
  for (const protocol of PORT_PROTOCOLS) {
    const asked = mappings.filter((mapping) => mapping.protocol === protocol);
    if (asked.length === 0) continue;
    const found = protocol === "sctp"
      ? parseSctpEndpoints(tables.sctpEndpoints?.() ?? "")
      : rangesOf(asked).flatMap((ports) =>
        ask(tables.diag, protocol, asked, ports)
      );
    if (found.length === 0) continue;
    waiting.set(
      protocol,
      found.map((one) => ({ ...one, address: plain(one.address) })),
    );
  }
  if (waiting.size === 0) return mappings.map(() => undefined);
  return mappings.map((mapping) =>
    waiting.get(mapping.protocol)?.find((socket) =>
      socket.port === mapping.hostPort && shadows(mapping, socket) &&
      !mayShadow(socket)
    )
  );
}

function ask(
  diag: Connection,
  protocol: "tcp" | "udp",
  mappings: readonly HostPort[],
  ports: PortRange,
): readonly ListeningSocket[] {
  if (protocol === "tcp") return listTcpListeners(diag, ports);
  // An IPv6 socket may take IPv4 clients as well, so those are always looked at.
  return ([6, 4] as const).flatMap((family) =>
    family === 6 || mappings.some(({ families }) => families.includes(4))
      ? listListeners(diag, { protocol, family, ...ports })
      : []
  );
}

interface PortRange {
  readonly port: number;
  readonly lastPort: number;
}

/** Ports so near to each other are asked for together, and those between them with them. */
const NEAR = 32;

function rangesOf(mappings: readonly HostPort[]): PortRange[] {
  const ranges: PortRange[] = [];
  const ports = mappings.map(({ hostPort }) => hostPort).sort((a, b) => a - b);
  for (const port of ports) {
    const last = ranges.at(-1);
    if (last === undefined || port - last.lastPort > NEAR) {
      ranges.push({ port, lastPort: port });
    } else {
      ranges[ranges.length - 1] = { port: last.port, lastPort: port };
    }
  }
  return ranges;
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

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

/** A socket of the node that is in the way of a mapping. */
export interface Obstacle {
  readonly mapping: HostPort;
  /** An IPv6 socket on an IPv4 address is shown as what it is. */
  readonly socket: ListeningSocket;
}

/**
 * The first of the mappings whose port a socket of the node waits on. Neighbouring ports are one question: the kernel looks
 * through all of its places for listeners for each, 15 µs.
 */
export function findObstacle(
  tables: SocketTables,
  mappings: readonly HostPort[],
): Obstacle | undefined {
  let waiting: Map<PortProtocol, readonly ListeningSocket[]> | undefined;
  for (const protocol of PORT_PROTOCOLS) {
    const found = socketsOf(tables, protocol, mappings);
    if (found.length === 0) continue;
    waiting ??= new Map();
    waiting.set(protocol, found.map(plain));
  }
  if (waiting === undefined) return undefined;
  const { mayShadow = () => false } = tables;
  for (const mapping of mappings) {
    const socket = waiting.get(mapping.protocol)?.find((socket) =>
      socket.port === mapping.hostPort && shadows(mapping, socket) &&
      !mayShadow(socket)
    );
    if (socket !== undefined) return { mapping, socket };
  }
  return undefined;
}

/** Sockets of a protocol on the ports of the mappings, or between these. */
function socketsOf(
  { diag, sctpEndpoints }: SocketTables,
  protocol: PortProtocol,
  mappings: readonly HostPort[],
): readonly ListeningSocket[] {
  const ports: number[] = [];
  let hasIpv4 = false;
  for (const mapping of mappings) {
    if (mapping.protocol !== protocol) continue;
    ports.push(mapping.hostPort);
    hasIpv4 ||= mapping.families[0] === 4;
  }
  if (ports.length === 0) return NONE;
  if (protocol === "sctp") return parseSctpEndpoints(sctpEndpoints?.() ?? "");
  ports.sort((a, b) => a - b);
  let found = NONE;
  let from = 0;
  for (let i = 1; i <= ports.length; i++) {
    const port = ports[from] as number;
    const lastPort = ports[i - 1] as number;
    if (i < ports.length && (ports[i] as number) - lastPort <= NEAR) continue;
    const more = ask(diag, protocol, hasIpv4, { port, lastPort });
    if (more.length > 0) found = [...found, ...more];
    from = i;
  }
  return found;
}

const NONE: readonly ListeningSocket[] = [];

/** Ports so near to each other are asked for together, and those between them with them. */
const NEAR = 32;

function ask(
  diag: Connection,
  protocol: "tcp" | "udp",
  hasIpv4: boolean,
  ports: PortRange,
): readonly ListeningSocket[] {
  if (protocol === "tcp") return listTcpListeners(diag, ports);
  // An IPv6 socket may take IPv4 clients as well, so those are always looked at.
  const found = listListeners(diag, { protocol, family: 6, ...ports });
  return hasIpv4
    ? [...found, ...listListeners(diag, { protocol, family: 4, ...ports })]
    : found;
}

interface PortRange {
  readonly port: number;
  readonly lastPort: number;
}

function shadows(mapping: HostPort, socket: ListeningSocket): boolean {
  const { address } = socket;
  if (address.isUnspecified) {
    const families = address.family === 4 ? [4] : socket.v6Only ? [6] : [4, 6];
    return mapping.families.some((family) => families.includes(family));
  }
  if (isWildcard(mapping)) {
    return mapping.families.includes(address.family) &&
      !(address.family === 6 && address.isLinkLocal);
  }
  return mapping.hostIP?.equals(address) ?? false;
}

/** An IPv6 socket may be bound to an IPv4 address, written as `::ffff:192.0.2.1`. */
function plain(socket: ListeningSocket): ListeningSocket {
  const { address } = socket;
  if (!address.isIpv4Mapped) return socket;
  return {
    ...socket,
    address: IpAddress.fromBytes(address.bytes.subarray(12)),
  };
}

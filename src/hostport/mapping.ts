/**
 * Host port mappings as values: what a spec says, one port at a time, as text, and which of them exclude each other.
 * @module
 */

import { IpAddress, type IpFamily } from "../net/ip.ts";
import { bracketed, compareText } from "../text.ts";

/** A transport protocol that host ports exist for. */
export type PortProtocol = "tcp" | "udp" | "sctp";

/** The transport protocols that host ports exist for. */
export const PORT_PROTOCOLS: readonly PortProtocol[] = ["tcp", "udp", "sctp"];

/** A host port, or an equally long range of them, that leads to ports of the pod. */
export interface PortMapping {
  /**
   * Transport protocol.
   * @default "tcp"
   */
  readonly protocol?: PortProtocol;
  /** Port on the node, 1–65535; the first one of a range. */
  readonly hostPort: number;
  /**
   * Last port of the range on the node.
   * @default hostPort
   */
  readonly hostPortEnd?: number;
  /** Port in the pod, 1–65535; the first one of a range. */
  readonly containerPort: number;
  /**
   * Last port of the range in the pod.
   * @default as many ports as the node's range has
   */
  readonly containerPortEnd?: number;
  /**
   * Address of the node that answers. Unset: every address of the sandbox's families; `0.0.0.0`: every IPv4 address;
   * `::`: every IPv6 address; `127.0.0.1` or `::1`: processes of the node only.
   */
  readonly hostIP?: string;
}

/** One port of a mapping, in plain data: no range, protocol named, address in canonical text. */
export interface SinglePortMapping {
  /** Transport protocol. */
  readonly protocol: PortProtocol;
  /** Port on the node. */
  readonly hostPort: number;
  /** Port in the pod. */
  readonly containerPort: number;
  /** As in {@linkcode PortMapping.hostIP}. */
  readonly hostIP?: string;
}

/** One port of a mapping as the ruleset needs it. */
export interface HostPort {
  /** Transport protocol. */
  readonly protocol: PortProtocol;
  /** Address of the node that answers; undefined for every address of `families`. */
  readonly hostIP: IpAddress | undefined;
  /** Port on the node. */
  readonly hostPort: number;
  /** Port in the pod. */
  readonly containerPort: number;
  /** The IP versions it is open for, 4 before 6. */
  readonly families: readonly IpFamily[];
}

/** Last host port of a mapping. */
export function lastHostPort(mapping: PortMapping): number {
  return mapping.hostPortEnd ?? mapping.hostPort;
}

/**
 * Takes a range apart. The mapping must be valid (`src/spec/`).
 * @returns one mapping a port, in ascending order
 */
export function expandPortMapping(mapping: PortMapping): SinglePortMapping[] {
  const { protocol = "tcp" } = mapping;
  const hostIP = mapping.hostIP === undefined
    ? undefined
    : IpAddress.parse(mapping.hostIP).toString();
  const last = lastHostPort(mapping);
  let { hostPort, containerPort } = mapping;
  const ports: SinglePortMapping[] = [];
  for (; hostPort <= last; hostPort++, containerPort++) {
    const port = { protocol, hostPort, containerPort };
    ports.push(hostIP === undefined ? port : { ...port, hostIP });
  }
  return ports;
}

const IPV4: readonly IpFamily[] = [4];
const IPV6: readonly IpFamily[] = [6];
const BOTH: readonly IpFamily[] = [4, 6];

/** A sandbox's mappings as the ruleset needs them, for the IP versions that it has addresses of. */
export function toHostPorts(
  mappings: readonly SinglePortMapping[],
  addresses: readonly IpAddress[],
): HostPort[] {
  const families = familiesOf(addresses);
  const ports: HostPort[] = [];
  for (const mapping of mappings) ports.push(toHostPort(mapping, families));
  return ports;
}

/** The IP versions of a sandbox's addresses, 4 before 6; it has one of each at most. */
export function familiesOf(
  addresses: readonly IpAddress[],
): readonly IpFamily[] {
  const [first] = addresses;
  if (addresses.length === 2) return BOTH;
  if (first === undefined) return [];
  return first.family === 4 ? IPV4 : IPV6;
}

/**
 * A mapping as the ruleset needs it.
 * @param families the IP versions that the sandbox has addresses of, 4 before 6
 */
export function toHostPort(
  { protocol, hostIP, hostPort, containerPort }: SinglePortMapping,
  families: readonly IpFamily[],
): HostPort {
  if (hostIP === undefined) {
    return { protocol, hostIP, hostPort, containerPort, families };
  }
  const address = IpAddress.parse(hostIP);
  return {
    protocol,
    hostIP: address,
    hostPort,
    containerPort,
    families: address.family === 4 ? IPV4 : IPV6,
  };
}

/**
 * Whether no two pods may have these host IPs on one port and protocol: a wildcard excludes every address of its
 * IP version (the rule of Kubernetes' scheduler, `HostPortInfo.CheckConflict`, with `::` as a wildcard too).
 * `undefined` is the wildcard of both versions.
 */
export function hostIPsConflict(
  a: IpAddress | undefined,
  b: IpAddress | undefined,
): boolean {
  if (a === undefined || b === undefined) return true;
  return a.family === b.family &&
    (a.isUnspecified || b.isUnspecified || a.equals(b));
}

/** Orders mappings for people and for comparison: protocol, host port, host IP. */
export function comparePortMappings(
  a: SinglePortMapping,
  b: SinglePortMapping,
): number {
  return PORT_PROTOCOLS.indexOf(a.protocol) -
      PORT_PROTOCOLS.indexOf(b.protocol) ||
    a.hostPort - b.hostPort ||
    compareText(a.hostIP ?? "", b.hostIP ?? "") ||
    a.containerPort - b.containerPort;
}

const PUBLISH =
  /^(?:(?<hostIP>\[[^\]]*\]|[^:[\]]*):)?(?<host>0|[1-9]\d*)(?:-(?<hostEnd>0|[1-9]\d*))?:(?<port>0|[1-9]\d*)(?:-(?<portEnd>0|[1-9]\d*))?(?:\/(?<protocol>[a-z]+))?$/;

/**
 * Reads the publish syntax: `[HOSTIP:]HOSTPORT[-END]:PORT[-END][/PROTO]`, an IPv6 address in brackets.
 *
 * Only the syntax is read: whether ports are in range is the spec's business, so that every problem is reported at once.
 * @throws {RangeError} when the text does not have this form, the address is none or the protocol is unknown
 */
export function parsePublish(text: string): PortMapping {
  const groups = PUBLISH.exec(text)?.groups;
  if (groups === undefined) {
    throw new RangeError(
      `${
        JSON.stringify(text)
      } is not a port mapping: write [HOSTIP:]HOSTPORT[-END]:PORT[-END][/PROTO], like 8080:80, 127.0.0.1:5353:53/udp or [::1]:8080:80`,
    );
  }
  const { hostIP, host, hostEnd, port, portEnd, protocol } = groups;
  if (protocol !== undefined && !isPortProtocol(protocol)) {
    throw new RangeError(
      `${
        JSON.stringify(text)
      } has an unknown protocol: write /tcp, /udp or /sctp`,
    );
  }
  return {
    ...protocol !== undefined && { protocol },
    hostPort: Number(host),
    ...hostEnd !== undefined && { hostPortEnd: Number(hostEnd) },
    containerPort: Number(port),
    ...portEnd !== undefined && { containerPortEnd: Number(portEnd) },
    ...hostIP !== undefined && { hostIP: parseHostIP(hostIP) },
  };
}

/** Brackets belong to IPv6 and to nothing else: without them `::1:80:80` would be anyone's guess. */
function parseHostIP(text: string): string {
  const bracketed = text.startsWith("[");
  const address = IpAddress.parse(bracketed ? text.slice(1, -1) : text);
  if (bracketed && address.family === 4) {
    throw new RangeError(`${text}: write an IPv4 address without brackets`);
  }
  return address.toString();
}

function isPortProtocol(text: string): text is PortProtocol {
  return PORT_PROTOCOLS.some((protocol) => protocol === text);
}

/** The publish syntax of a mapping; `parsePublish` reads it back. */
export function formatPublish(mapping: PortMapping): string {
  const { hostIP, hostPort, containerPort, protocol = "tcp" } = mapping;
  const address = hostIP === undefined ? "" : `${bracketed(hostIP)}:`;
  const last = lastHostPort(mapping);
  const host = range(hostPort, last);
  const port = range(containerPort, containerPort + last - hostPort);
  return `${address}${host}:${port}/${protocol}`;
}

function range(first: number, last: number): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

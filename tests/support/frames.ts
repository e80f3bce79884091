/**
 * Frames and packets byte by byte, for senders that respect nothing.
 *
 * @module
 */
import { HOST_MAC } from "../../src/attachment/pod_link.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MacAddress } from "../../src/net/mac.ts";
import type { Endpoint, Family } from "./sockets.ts";

/** Bytes of a frame or a part of one. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Ethernet types (linux/if_ether.h). */
export const ETHERTYPE = {
  4: 0x0800,
  6: 0x86dd,
  arp: 0x0806,
  vlan: 0x8100,
  qinq: 0x88a8,
  mpls: 0x8847,
  lldp: 0x88cc,
} as const;

/** IP protocols and IPv6 extension headers (IANA protocol numbers). */
export const PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  icmpv6: 58,
  destinationOptions: 60,
} as const;

/** A MAC address that nobody in a lab has. */
export const FOREIGN_MAC: MacAddress = MacAddress.parse("02:00:00:00:00:99");
/** Everybody on a link. */
export const BROADCAST_MAC: MacAddress = MacAddress.parse("ff:ff:ff:ff:ff:ff");

/** One after the other. */
export function concat(...parts: readonly ArrayLike<number>[]): Bytes {
  const bytes = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** RFC 1071. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Who a frame says it is from, and for. */
export interface FrameOptions {
  /** @default the host end of a pod's link */
  readonly to?: MacAddress;
  /** @default one that nobody has */
  readonly from?: MacAddress;
}

/** An Ethernet frame. */
export function frame(
  type: number,
  payload: Uint8Array,
  { to = HOST_MAC, from = FOREIGN_MAC }: FrameOptions = {},
): Bytes {
  return concat(to.bytes, from.bytes, uint16(type), payload);
}

/** An Ethernet frame with an IP packet. */
export function ipFrame(
  packet: Uint8Array,
  options: FrameOptions = {},
): Bytes {
  return frame((packet[0] ?? 0) >> 4 === 4 ? 0x0800 : 0x86dd, packet, options);
}

/** Which part of a packet that was cut in pieces. */
export interface Fragment {
  readonly id: number;
  /** Bytes, a multiple of 8. */
  readonly offset: number;
  readonly more: boolean;
}

/** An IP packet. */
export interface IpOptions {
  readonly from: string;
  readonly to: string;
  /** Of the payload, an extension header included. */
  readonly protocol: number;
  readonly payload: Uint8Array;
  /** @default 64 */
  readonly hopLimit?: number;
  readonly fragment?: Fragment;
  /** Options of an IPv4 header, a multiple of 4 bytes. */
  readonly options?: Uint8Array;
}

/** An IPv4 or IPv6 packet. The addresses are of one family. */
export function ipPacket(options: IpOptions): Bytes {
  const from = IpAddress.parse(options.from);
  const to = IpAddress.parse(options.to);
  return to.family === 4 ? ipv4(from, to, options) : ipv6(from, to, options);
}

function ipv4(from: IpAddress, to: IpAddress, packet: IpOptions): Bytes {
  const { protocol, payload, hopLimit = 64, fragment } = packet;
  const options = packet.options ?? new Uint8Array();
  const header = new Uint8Array(20 + options.length);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x40 | header.length / 4);
  view.setUint16(2, header.length + payload.length);
  if (fragment !== undefined) {
    view.setUint16(4, fragment.id);
    view.setUint16(6, fragment.offset / 8 | (fragment.more ? 0x2000 : 0));
  }
  view.setUint8(8, hopLimit);
  view.setUint8(9, protocol);
  header.set(from.bytes, 12);
  header.set(to.bytes, 16);
  header.set(options, 20);
  view.setUint16(10, internetChecksum(header));
  return concat(header, payload);
}

function ipv6(from: IpAddress, to: IpAddress, packet: IpOptions): Bytes {
  const { hopLimit = 64, fragment } = packet;
  const payload = fragment === undefined ? packet.payload : concat(
    [packet.protocol, 0],
    uint16(fragment.offset | (fragment.more ? 1 : 0)),
    uint32(fragment.id),
    packet.payload,
  );
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, payload.length);
  view.setUint8(
    6,
    fragment === undefined ? packet.protocol : PROTOCOL.fragment,
  );
  view.setUint8(7, hopLimit);
  header.set(from.bytes, 8);
  header.set(to.bytes, 24);
  return concat(header, payload);
}

/** An IPv6 extension header of options that mean nothing (Pad1, PadN), before a payload of protocol `next`. */
export function paddingHeader(next: number, payload: Uint8Array): Bytes {
  return concat([next, 0, 1, 4, 0, 0, 0, 0], payload);
}

/** What a transport protocol's segment is for. */
export interface Flow {
  readonly from: Endpoint;
  readonly to: Endpoint;
}

/** A UDP datagram, with its checksum. */
export function udp({ from, to }: Flow, data: Uint8Array): Bytes {
  const segment = concat(
    uint16(from.port),
    uint16(to.port),
    uint16(8 + data.length),
    [0, 0],
    data,
  );
  return summed(segment, 6, PROTOCOL.udp, from.address, to.address);
}

/** A TCP segment that opens a connection. */
export function tcpSyn({ from, to }: Flow): Bytes {
  const segment = concat(
    uint16(from.port),
    uint16(to.port),
    uint32(1000), // sequence number
    uint32(0),
    [5 << 4, 0x02], // header length in words; SYN
    uint16(65535), // window
    [0, 0, 0, 0],
  );
  return summed(segment, 16, PROTOCOL.tcp, from.address, to.address);
}

/** An ICMP message: type, code, the 4 bytes after the checksum, and the rest. */
export interface IcmpOptions {
  readonly type: number;
  readonly code?: number;
  readonly rest?: Uint8Array;
  readonly body?: Uint8Array;
}

/** An ICMPv4 or ICMPv6 message in its packet. */
export function icmpPacket(
  packet: Pick<IpOptions, "from" | "to" | "hopLimit">,
  { type, code = 0, rest, body }: IcmpOptions,
): Bytes {
  const message = concat(
    [type, code, 0, 0],
    rest ?? new Uint8Array(4),
    body ?? new Uint8Array(),
  );
  if (IpAddress.parse(packet.to).family === 6) {
    const { icmpv6 } = PROTOCOL;
    return ipPacket({
      ...packet,
      protocol: icmpv6,
      payload: summed(message, 2, icmpv6, packet.from, packet.to),
    });
  }
  message.set(uint16(internetChecksum(message)), 2);
  return ipPacket({ ...packet, protocol: PROTOCOL.icmp, payload: message });
}

/** A UDP datagram in its packet. */
export function udpPacket(
  flow: Flow,
  data: Uint8Array,
  options: Partial<IpOptions> = {},
): Bytes {
  return ipPacket({
    from: flow.from.address,
    to: flow.to.address,
    protocol: PROTOCOL.udp,
    payload: udp(flow, data),
    ...options,
  });
}

/** ARP (RFC 826) for IPv4 over Ethernet. */
export interface ArpOptions {
  readonly operation: "request" | "reply";
  readonly sender: readonly [MacAddress, string];
  readonly target: readonly [MacAddress, string];
}

/** An ARP packet. */
export function arp({ operation, sender, target }: ArpOptions): Bytes {
  return concat(
    [0, 1, 8, 0, 6, 4, 0, operation === "request" ? 1 : 2],
    ...[sender, target].map(([mac, address]) =>
      concat(mac.bytes, IpAddress.parse(address).bytes)
    ),
  );
}

/** An option of neighbour discovery with a link-layer address: 1 of the source, 2 of the target (RFC 4861, 4.6.1). */
export function linkLayerOption(type: 1 | 2, mac: MacAddress): Bytes {
  return concat([type, 1], mac.bytes);
}

/** The bytes of an IP address. */
export function addressBytes(address: string): Uint8Array {
  return IpAddress.parse(address).bytes;
}

/** Big-endian. */
export function uint16(value: number): Bytes {
  return Uint8Array.of(value >> 8 & 0xff, value & 0xff);
}

/** Big-endian. */
export function uint32(value: number): Bytes {
  return concat(uint16(value >>> 16), uint16(value & 0xffff));
}

/** Puts the checksum over pseudo header and segment in its place (RFC 768, RFC 8200 8.1). */
function summed(
  segment: Bytes,
  at: number,
  protocol: number,
  from: string,
  to: string,
): Bytes {
  const pseudo = concat(
    addressBytes(from),
    addressBytes(to),
    uint32(segment.length),
    uint32(protocol),
    segment,
  );
  const sum = internetChecksum(pseudo);
  // Zero would mean that there is none.
  segment.set(
    uint16(sum === 0 && protocol === PROTOCOL.udp ? 0xffff : sum),
    at,
  );
  return segment;
}

/** `4` and `6` as the names of tests have them. */
export function familyName(family: Family): string {
  return `ipv${family}`;
}

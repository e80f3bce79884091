/**
 * Packets that stand for all of their kind, such as the first of any pod's TCP connection to the outside world.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "../../../ffi/socket.ts";
import type { Cidr } from "../../net/cidr.ts";
import { addressBits, type IpFamily } from "../../net/ip.ts";
import { HOST_INTERFACE_PREFIX } from "../../sandbox/records/identity.ts";
import type { IpHook } from "../facts/ruleset.ts";
import { type Bits, hostNumber, known, unknown } from "./bits.ts";

/** Where a packet comes from or goes to: any pod's link, a link by its name, one that is not known, or none. */
export type LinkOfPacket =
  | { readonly any: "pod" | "unknown" }
  | {
    readonly name: string;
    readonly index: number;
    readonly isBridge: boolean;
  }
  | { readonly none: true };

/** A kind of packet. */
export interface Packet {
  /** For people: `pods' connections to the outside`. */
  readonly title: string;
  readonly family: IpFamily;
  readonly input: LinkOfPacket;
  readonly output: LinkOfPacket;
  /** Undefined when any. */
  readonly source?: Cidr;
  /** Undefined when any. */
  readonly destination?: Cidr;
  /** Whether the destination is an address of the node. */
  readonly toNode: boolean;
  /** IP protocol number. */
  readonly protocol: number;
  /** Undefined when any. */
  readonly destinationPort?: number;
  /** The first packet of a connection, or an answer. */
  readonly state: "new" | "answer";
  /** Whether a host port led it to its destination. */
  readonly translated: boolean;
}

/** Name of the bridge that a packet comes in by and leaves by again; undefined when there is none. */
export function crossedBridge(
  { input, output }: Pick<Packet, "input" | "output">,
): string | undefined {
  return "name" in input && input.isBridge && "name" in output &&
      output.name === input.name
    ? input.name
    : undefined;
}

/** `NF_CT_STATE_BIT` of established and new (linux/netfilter/nf_conntrack_common.h). */
const CT_STATE = { answer: 2, new: 8 } as const;
const IPS_DST_NAT = 32;
/** Routing types (linux/rtnetlink.h). */
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const TCP = 6;
const TCP_SYN = 0x02;
const TCP_ACK = 0x10;
const IFNAMSIZ = 16;

/** What rules find when they ask for metadata by nft's name, at a hook. */
export function metadata(
  packet: Packet,
  hook: IpHook,
  key: string | number,
): Bits {
  switch (key) {
    case "iifname":
      return nameOf(packet.input);
    case "oifname":
      return nameOf(hook === "prerouting" ? { none: true } : packet.output);
    case "iif":
      return indexOf(packet.input);
    case "oif":
      return indexOf(hook === "prerouting" ? { none: true } : packet.output);
    case "nfproto":
      return known(Uint8Array.of(packet.family === 4 ? AF_INET : AF_INET6));
    case "l4proto":
      return known(Uint8Array.of(packet.protocol));
    case "protocol":
      return known(
        packet.family === 4
          ? Uint8Array.of(0x08, 0x00)
          : Uint8Array.of(0x86, 0xdd),
      );
    default:
      return unknown(IFNAMSIZ);
  }
}

function nameOf(link: LinkOfPacket): Bits {
  const bytes = new Uint8Array(IFNAMSIZ);
  if ("none" in link) return known(bytes);
  if ("name" in link) {
    new TextEncoder().encodeInto(link.name, bytes);
    return known(bytes);
  }
  const length = link.any === "pod" ? HOST_INTERFACE_PREFIX.length : 0;
  new TextEncoder().encodeInto(HOST_INTERFACE_PREFIX, bytes);
  return {
    bytes,
    known: bytes.map((_, i) => i < length ? 0xff : 0),
  };
}

function indexOf(link: LinkOfPacket): Bits {
  if ("none" in link) return hostNumber(0);
  return "index" in link ? hostNumber(link.index) : unknown(4);
}

/** What rules find when they ask connection tracking, by nft's name. */
export function tracking(packet: Packet, key: string | number): Bits {
  switch (key) {
    case "state":
      return hostNumber(CT_STATE[packet.state]);
    case "direction":
      return known(Uint8Array.of(packet.state === "answer" ? 1 : 0));
    case "status": {
      const dnat = hostNumber(packet.translated ? IPS_DST_NAT : 0);
      return {
        bytes: dnat.bytes,
        known: hostNumber(IPS_DST_NAT).bytes,
      };
    }
    default:
      return unknown(IFNAMSIZ);
  }
}

/** What a routing lookup of its addresses finds: the type, or whether there is a route back at all. */
export function routing(
  packet: Packet,
  result: string | number,
  flags: number,
): Bits {
  const FIB_SOURCE = 1;
  const ofSource = (flags & FIB_SOURCE) !== 0;
  if (result === "type") {
    if (ofSource) return unknown(4);
    return hostNumber(packet.toNode ? RTN_LOCAL : RTN_UNICAST);
  }
  const fromPod = "any" in packet.input && packet.input.any === "pod";
  // A pod's address is routed to the link that its packets come from. Any number but 0 says so.
  return ofSource && fromPod
    ? { bytes: Uint8Array.of(1, 0, 0, 0), known: Uint8Array.of(1, 0, 0, 0) }
    : unknown(4);
}

/** Bytes of its network or transport header. */
export function payload(
  packet: Packet,
  base: string | number,
  offset: number,
  length: number,
): Bits {
  const header = base === "network"
    ? networkHeader(packet)
    : base === "transport"
    ? transportHeader(packet)
    : unknown(0);
  const cut = (bytes: Uint8Array) => {
    const part = new Uint8Array(length);
    part.set(bytes.subarray(offset, offset + length));
    return part;
  };
  return { bytes: cut(header.bytes), known: cut(header.known) };
}

function networkHeader(packet: Packet): Bits {
  const { family, source, destination, protocol } = packet;
  const header = unknown(family === 4 ? 20 : 40);
  const put = (at: number, bits: Bits) => {
    header.bytes.set(bits.bytes, at);
    header.known.set(bits.known, at);
  };
  put(family === 4 ? 9 : 6, known(Uint8Array.of(protocol)));
  const [sourceAt, destinationAt] = family === 4 ? [12, 16] : [8, 24];
  put(sourceAt, addressBitsOf(source, family));
  put(destinationAt, addressBitsOf(destination, family));
  return header;
}

function addressBitsOf(cidr: Cidr | undefined, family: IpFamily): Bits {
  if (cidr === undefined) return unknown(addressBits(family) / 8);
  const bytes = cidr.network.bytes;
  return {
    bytes,
    known: bytes.map((_, i) => {
      const bits = Math.min(8, Math.max(0, cidr.prefixLength - 8 * i));
      return 0xff << (8 - bits);
    }),
  };
}

function transportHeader(packet: Packet): Bits {
  const header = unknown(20);
  const { destinationPort, protocol, state } = packet;
  if (destinationPort !== undefined) {
    header.bytes.set([destinationPort >> 8, destinationPort & 0xff], 2);
    header.known.set([0xff, 0xff], 2);
  }
  if (protocol === TCP) {
    header.bytes[13] = state === "new" ? TCP_SYN : TCP_ACK;
    // PSH and FIN of answers may be there or not.
    header.known[13] = state === "new" ? 0xff : TCP_SYN | TCP_ACK;
  }
  return header;
}

/**
 * Rules that iptables wrote into nf_tables: their matches and targets keep the layouts of the old iptables
 * (nft_compat; linux/netfilter/x_tables.h).
 *
 * @module
 */
import { attrs, decode } from "../../netlink/attrs.ts";
import { be32, bytes, cstring } from "../../netlink/codec.ts";
import { CodecError } from "../../netlink/codec_error.ts";
import type { Answer } from "./bits.ts";
import { crossedBridge, type Packet } from "./packet.ts";

/** `NFTA_MATCH_*` and `NFTA_TARGET_*`, which have the same numbers. */
const extension = attrs("NFTA_MATCH_", {
  name: [1, cstring(32)],
  rev: [2, be32],
  info: [3, bytes],
});

function read(data: Uint8Array | undefined): {
  readonly name?: string;
  readonly info?: Uint8Array;
} {
  try {
    return data === undefined ? {} : decode(extension, data);
  } catch (error) {
    if (error instanceof CodecError) return {};
    throw error;
  }
}

/** Whether a match of iptables is true of the packet. */
export function xtMatch(data: Uint8Array | undefined, packet: Packet): Answer {
  const { name, info } = read(data);
  switch (name) {
    case "comment":
      return "yes";
    case "physdev":
      return info === undefined ? "maybe" : bridgePort(info, packet);
    case "conntrack":
      return info === undefined ? "maybe" : conntrackState(info, packet);
    case "addrtype":
      return info === undefined ? "maybe" : destinationType(info, packet);
    case "tcp":
    case "udp":
      return info === undefined ? "maybe" : ports(info, packet);
    default:
      return "maybe";
  }
}

/** `struct xt_physdev_info` after the names and masks of two ports (linux/netfilter/xt_physdev.h). */
const PHYSDEV_FLAGS = 64;
const XT_PHYSDEV_OP_BRIDGED = 4;

/** As physdev_mt() has it: without a bridge a rule matches that asks for nothing but the opposite. */
function bridgePort(info: Uint8Array, packet: Packet): Answer {
  const { input } = packet;
  const [inverted, asked] = info.subarray(PHYSDEV_FLAGS);
  if (inverted === undefined || asked === undefined) return "maybe";
  if ("any" in input && input.any === "unknown") return "maybe";
  if (!("name" in input && input.isBridge)) {
    return (asked & ~inverted) === 0 ? "yes" : "no";
  }
  // By which port it came is not known.
  if (asked !== XT_PHYSDEV_OP_BRIDGED) return "maybe";
  const isBridged = crossedBridge(packet) !== undefined;
  return isBridged !== (inverted !== 0) ? "yes" : "no";
}

/** `struct xt_conntrack_mtinfo3` from `match_flags` on (linux/netfilter/xt_conntrack.h). */
const MATCH_FLAGS = 146;
const INVERT_FLAGS = 148;
const STATE_MASK = 150;
const XT_CONNTRACK_STATE = 1;
/** `XT_CONNTRACK_STATE_BIT` of established and new. */
const STATE_BITS = { answer: 2, new: 8 } as const;

function conntrackState(info: Uint8Array, packet: Packet): Answer {
  if (info.length < STATE_MASK + 2) return "maybe";
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  // Only the state is asked for; other questions are not answered here.
  if (view.getUint16(MATCH_FLAGS, true) !== XT_CONNTRACK_STATE) return "maybe";
  const inverted = view.getUint16(INVERT_FLAGS, true) !== 0;
  const has =
    (view.getUint16(STATE_MASK, true) & STATE_BITS[packet.state]) !== 0;
  return has !== inverted ? "yes" : "no";
}

/** `struct xt_addrtype_info_v1`: bits of types of the source, of the destination, flags (linux/netfilter/xt_addrtype.h). */
function destinationType(info: Uint8Array, packet: Packet): Answer {
  const SIZE = 8;
  const LOCAL = 1 << 2;
  const UNICAST = 1 << 1;
  const INVERT_DEST = 2;
  if (info.length < SIZE) return "maybe";
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  const flags = view.getUint32(4, true);
  if (view.getUint16(0, true) !== 0 || (flags & ~INVERT_DEST) !== 0) {
    return "maybe";
  }
  const has =
    (view.getUint16(2, true) & (packet.toNode ? LOCAL : UNICAST)) !== 0;
  return has !== (flags !== 0) ? "yes" : "no";
}

/** `struct xt_tcp` and `struct xt_udp` begin with the ranges of source and destination ports (linux/netfilter/xt_tcpudp.h). */
function ports(info: Uint8Array, { destinationPort }: Packet): Answer {
  const [firstSource = 0, lastSource = 0, first = 0, last = 0] = [
    ...new Uint16Array(info.slice(0, 8).buffer),
  ];
  // Flags of TCP, an option of it and inversions.
  const hasMore = info.slice(8).some((byte) => byte !== 0);
  if (hasMore || firstSource !== 0 || lastSource !== 0xffff) return "maybe";
  if (first === 0 && last === 0xffff) return "yes";
  if (destinationPort === undefined) return "maybe";
  return destinationPort >= first && destinationPort <= last ? "yes" : "no";
}

const TARGETS: Readonly<Record<string, "drop" | "snat" | "dnat">> = {
  REJECT: "drop",
  DROP: "drop",
  MASQUERADE: "snat",
  SNAT: "snat",
  DNAT: "dnat",
  REDIRECT: "dnat",
};

/** What a target of iptables does; undefined for those that let the packet go on, such as LOG and MARK. */
export function xtTarget(
  data: Uint8Array | undefined,
): "drop" | "snat" | "dnat" | undefined {
  return TARGETS[read(data).name ?? ""];
}

/**
 * Attribute tables of conntrack entries (linux/netfilter/nfnetlink_conntrack.h). Integers are big-endian, but for the
 * flags of a filter.
 *
 * @module
 */
import { type Attrs, attrs, type AttrsOf } from "../netlink/attrs.ts";
import { body } from "../netlink/struct.ts";
import {
  be16,
  be32,
  bytesOf,
  type Codec,
  type Infer,
  u32,
  u8,
} from "../netlink/codec.ts";
import { nfgenmsg, nfMessageType, NfSubsystem } from "../netlink/nfnetlink.ts";

/** Message types (`IPCTNL_MSG_CT_*`). */
export const ConntrackMessage = {
  get: nfMessageType(NfSubsystem.conntrack, 1),
  delete: nfMessageType(NfSubsystem.conntrack, 2),
  getStats: nfMessageType(NfSubsystem.conntrack, 5),
} as const;

const tupleIp = attrs("CTA_IP_", {
  v4Src: [1, bytesOf(4)],
  v4Dst: [2, bytesOf(4)],
  v6Src: [3, bytesOf(16)],
  v6Dst: [4, bytesOf(16)],
});

const tupleProto = attrs("CTA_PROTO_", {
  num: [1, u8],
  srcPort: [2, be16],
  dstPort: [3, be16],
});

const tupleRows = {
  ip: [1, tupleIp],
  proto: [2, tupleProto],
  zone: [3, be16],
} as const;
const tuple: Attrs<typeof tupleRows> = attrs("CTA_TUPLE_", tupleRows);

/** Addresses and ports of one direction. */
export type TupleAttrs = AttrsOf<typeof tupleRows>;

/** Which fields of a tuple a filter compares (`CTA_FILTER_F_*`, net/netfilter/nf_conntrack_netlink.c). */
export const FilterField = {
  source: 1 << 0,
  destination: 1 << 1,
  protocol: 1 << 3,
  sourcePort: 1 << 4,
  destinationPort: 1 << 5,
} as const;

const filter = attrs("CTA_FILTER_", {
  origFlags: [1, u32, "fields of the original tuple to compare"],
  replyFlags: [2, u32, "fields of the reply tuple to compare"],
});

const entryRows = {
  tupleOrig: [1, tuple],
  tupleReply: [2, tuple],
  status: [3, be32],
  timeout: [7, be32, "seconds"],
  mark: [8, be32],
  id: [12, be32],
  zone: [18, be16],
  filter: [25, filter, "of a dump, and since 6.8 of a deletion"],
} as const;
const entry: Attrs<typeof entryRows> = attrs("CTA_", entryRows);

/** An entry, or what entries are selected by. */
export type EntryAttrs = AttrsOf<typeof entryRows>;

/** The nfnetlink header and an entry. */
export type EntryBody = {
  header: Infer<typeof nfgenmsg>;
  attrs: EntryAttrs;
};

/** A conntrack message. */
export const entryMessage: Codec<EntryBody> = body(nfgenmsg, entry);

const statsRows = {
  entries: [1, be32, "connections of the namespace"],
} as const;
const stats: Attrs<typeof statsRows> = attrs("CTA_STATS_GLOBAL_", statsRows);

/** Numbers of a namespace. */
export const statsMessage: Codec<
  { header: Infer<typeof nfgenmsg>; attrs: AttrsOf<typeof statsRows> }
> = { ...body(nfgenmsg, stats), isScalar: true };

/** The tables by name, for checks against the kernel's headers. */
export const conntrackTables = {
  tupleIp,
  tupleProto,
  tuple,
  filter,
  entry,
  stats,
} as const;

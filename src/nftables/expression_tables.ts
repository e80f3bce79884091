/**
 * Attribute tables of nf_tables expressions (linux/netfilter/nf_tables.h). All integers are big-endian.
 *
 * @module
 */
import {
  type Attrs,
  attrs,
  type AttrsOf,
  type Rows,
} from "../netlink/attrs.ts";
import { variant, type VariantOf } from "../netlink/variant.ts";
import {
  be32,
  be64,
  bytes,
  choice,
  type Codec,
  cstring,
  u8,
} from "../netlink/codec.ts";

/** Object names: `NFT_NAME_MAXLEN`, with the terminator. */
export const objectName: Codec<string> = cstring(256);

const verdictRows = {
  code: [
    1,
    choice(be32, {
      accept: 1,
      drop: 0,
      continue: 0xffffffff,
      return: 0xfffffffb,
      jump: 0xfffffffd,
      goto: 0xfffffffc,
    }),
  ],
  chain: [2, objectName, "target of jump and goto"],
} as const;
const verdict = attrs("NFTA_VERDICT_", verdictRows);

const dataRows = {
  value: [1, bytes, "at most 64 bytes"],
  verdict: [2, verdict],
} as const;
/** A value or a verdict. */
export const data: Attrs<typeof dataRows> = attrs("NFTA_DATA_", dataRows);

/** Registers: 0 is the verdict, 1–4 hold 16 bytes, 8–23 are the same store in words of 4 bytes. */
const register = be32;

const meta = attrs("NFTA_META_", {
  dreg: [1, register],
  key: [
    2,
    choice(be32, {
      len: 0,
      protocol: 1,
      mark: 3,
      iif: 4,
      oif: 5,
      iifname: 6,
      oifname: 7,
      iiftype: 8,
      nfproto: 15,
      l4proto: 16,
      iifgroup: 21,
      oifgroup: 22,
    }),
  ],
  sreg: [3, register, "set instead of load"],
});

const ct = attrs("NFTA_CT_", {
  dreg: [1, register],
  key: [2, choice(be32, { state: 0, direction: 1, status: 2, mark: 3 })],
  direction: [3, u8],
  sreg: [4, register, "set instead of load"],
});

const payload = attrs("NFTA_PAYLOAD_", {
  dreg: [1, register],
  base: [2, choice(be32, { link: 0, network: 1, transport: 2 })],
  offset: [3, be32, "bytes from the base"],
  len: [4, be32, "bytes"],
  sreg: [5, register, "write instead of load"],
  csumType: [6, choice(be32, { none: 0, inet: 1, sctp: 2 })],
  csumOffset: [7, be32, "bytes from the base"],
  csumFlags: [8, be32, "1: mend the transport checksum's pseudo header"],
});

const cmp = attrs("NFTA_CMP_", {
  sreg: [1, register],
  op: [2, choice(be32, { eq: 0, neq: 1, lt: 2, lte: 3, gt: 4, gte: 5 })],
  data: [3, data],
});

const range = attrs("NFTA_RANGE_", {
  sreg: [1, register],
  op: [2, choice(be32, { eq: 0, neq: 1 })],
  fromData: [3, data],
  toData: [4, data],
});

const bitwise = attrs("NFTA_BITWISE_", {
  sreg: [1, register],
  dreg: [2, register],
  len: [3, be32, "bytes"],
  mask: [4, data],
  xor: [5, data],
  op: [6, choice(be32, { maskXor: 0, lshift: 1, rshift: 2 })],
  data: [7, data],
});

const byteorder = attrs("NFTA_BYTEORDER_", {
  sreg: [1, register],
  dreg: [2, register],
  op: [3, choice(be32, { ntoh: 0, hton: 1 })],
  len: [4, be32, "bytes in all"],
  size: [5, be32, "bytes of one value"],
});

const lookup = attrs("NFTA_LOOKUP_", {
  set: [1, objectName],
  sreg: [2, register],
  dreg: [3, register, "of a map"],
  setId: [4, be32],
  flags: [5, be32, "1: no element"],
});

const immediate = attrs("NFTA_IMMEDIATE_", {
  dreg: [1, register],
  data: [2, data],
});

const fib = attrs("NFTA_FIB_", {
  dreg: [1, register],
  result: [2, choice(be32, { oif: 1, oifname: 2, type: 3 })],
  flags: [3, be32, "1 saddr, 2 daddr, 4 mark, 8 iif, 16 oif, 32 present"],
});

const nat = attrs("NFTA_NAT_", {
  type: [1, choice(be32, { snat: 0, dnat: 1 })],
  family: [2, choice(be32, { ipv4: 2, ipv6: 10 })],
  regAddrMin: [3, register],
  regAddrMax: [4, register],
  regProtoMin: [5, register],
  regProtoMax: [6, register],
  flags: [7, be32],
});

const masq = attrs("NFTA_MASQ_", {
  flags: [1, be32],
  regProtoMin: [2, register],
  regProtoMax: [3, register],
});

const notrack = attrs("NFTA_NOTRACK_", {});

const reject = attrs("NFTA_REJECT_", {
  type: [1, choice(be32, { icmp: 0, tcpReset: 1, icmpx: 2 })],
  icmpCode: [2, u8],
});

const counter = attrs("NFTA_COUNTER_", {
  bytes: [1, be64],
  packets: [2, be64],
});

const numgen = attrs("NFTA_NG_", {
  dreg: [1, register],
  modulus: [2, be32],
  type: [3, choice(be32, { incremental: 0, random: 1 })],
  offset: [4, be32],
});

const connlimit = attrs("NFTA_CONNLIMIT_", {
  count: [1, be32],
  flags: [2, be32, "1: true when there are more"],
});

const dynset = attrs("NFTA_DYNSET_", {
  setName: [1, objectName],
  setId: [2, be32],
  op: [3, choice(be32, { add: 0, update: 1, delete: 2 })],
  sregKey: [4, register],
  sregData: [5, register],
  timeout: [6, be64, "ms"],
  expr: [7, variant(1, 2, { connlimit }), "what each element keeps"],
  flags: [9, be32],
});

const formats = {
  meta,
  ct,
  payload,
  cmp,
  range,
  bitwise,
  byteorder,
  lookup,
  immediate,
  fib,
  nat,
  masq,
  notrack,
  reject,
  counter,
  numgen,
  connlimit,
  dynset,
};

/** One expression, keyed by its kernel name: `{ meta: { dreg: 1, key: "l4proto" } }`. */
export type Expression = VariantOf<typeof formats>;

/** What a rule does with a packet that reaches its end. */
export type VerdictAttrs = AttrsOf<typeof verdictRows>;

/** `NFTA_EXPR_*`: name and data of one expression. */
export const expression: Codec<Expression> = variant(1, 2, formats);

/** The tables by name, for checks against the kernel's headers. */
export const expressionTables: Readonly<Record<string, Attrs<Rows>>> = {
  verdict,
  data,
  ...formats,
};

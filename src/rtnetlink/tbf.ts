/**
 * The token bucket filter, which limits how much a link sends (tc-tbf(8), net/sched/sch_tbf.c).
 *
 * @module
 */
import { type Attrs, attrs, decode, encode } from "../netlink/attrs.ts";
import { u16, u32, u64, u8 } from "../netlink/codec.ts";
import { struct, type StructCodec } from "../netlink/struct.ts";

/** `TC_LINKLAYER_ETHERNET`: packets count as long as they are. */
const ETHERNET = 1;

/** `struct tc_tbf_qopt`, the `struct tc_ratespec` of rate and peak rate field by field. */
const qoptFields = {
  rateCellLog: u8,
  rateLinklayer: u8,
  rateOverhead: u16,
  rateCellAlign: u16,
  rateMpu: u16,
  rate: u32,
  peakCellLog: u8,
  peakLinklayer: u8,
  peakOverhead: u16,
  peakCellAlign: u16,
  peakMpu: u16,
  peakRate: u32,
  limit: u32,
  buffer: u32,
  mtu: u32,
} as const;
const qopt: StructCodec<typeof qoptFields> = struct("tc_tbf_qopt", qoptFields);

const rows = {
  parms: [1, qopt],
  rate64: [4, u64, "bytes a second, from 2^32 on"],
  burst: [6, u32, "bytes"],
} as const;
/** Options of a token bucket filter. */
export const tbfAttrs: Attrs<typeof rows> = attrs("TCA_TBF_", rows);

/** What a token bucket filter lets through. */
export interface TokenBucket {
  /** Bytes a second. */
  readonly rate: number;
  /** Bytes that may go at once after a pause; at least the longest packet. */
  readonly burst: number;
  /** Bytes that wait their turn; what is more is dropped. */
  readonly limit: number;
}

const MAX_U32 = 0xffffffff;

/** The options of a discipline `tbf`. */
export function tbfOptions(
  { rate, burst, limit }: TokenBucket,
): Uint8Array<ArrayBuffer> {
  return encode(tbfAttrs, {
    parms: {
      rateLinklayer: ETHERNET,
      rate: Math.min(rate, MAX_U32),
      limit: Math.min(limit, MAX_U32),
    },
    burst: Math.min(burst, MAX_U32),
    ...(rate > MAX_U32 ? { rate64: BigInt(rate) } : {}),
  });
}

/** What the kernel tells of one: the burst it keeps as a time. */
export function tokenBucketOf(
  options: Uint8Array,
): Omit<TokenBucket, "burst"> {
  const { parms, rate64 } = decode(tbfAttrs, options);
  return {
    rate: rate64 === undefined ? parms?.rate ?? 0 : Number(rate64),
    limit: parms?.limit ?? 0,
  };
}

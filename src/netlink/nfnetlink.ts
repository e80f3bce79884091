/**
 * What every nfnetlink subsystem shares (linux/netfilter/nfnetlink.h).
 *
 * @module
 */
import { struct, type StructCodec } from "./struct.ts";
import { be16, type Codec, u8 } from "./codec.ts";

/** Protocol families as nfnetlink counts them (linux/netfilter.h, `NFPROTO_*`). */
export const NfFamily = {
  unspec: 0,
  inet: 1,
  ipv4: 2,
  ipv6: 10,
} as const;

/** Subsystems (`NFNL_SUBSYS_*`). */
export const NfSubsystem = { conntrack: 1, nftables: 10 } as const;

/** Message type of a subsystem's message number. */
export function nfMessageType(subsystem: number, message: number): number {
  return subsystem << 8 | message;
}

/** The header after `nlmsghdr` in every nfnetlink message. */
export const nfgenmsg: StructCodec<{
  family: Codec<number>;
  version: Codec<number>;
  resId: Codec<number>;
}> = struct("nfgenmsg", { family: u8, version: u8, resId: be16 });

/**
 * An nf_tables table as plain data: what to build, without how.
 *
 * @module
 */
import type { Datatype } from "./datatype.ts";
import type { Expression } from "./expression_tables.ts";

/** A table: chains with their rules, and sets that the rules look up. */
export interface Table {
  /** `inet` sees IPv4 and IPv6. */
  readonly family: "inet";
  readonly name: string;
  /** At most 127 bytes; `nft list` shows it. */
  readonly comment?: string;
  readonly sets: readonly NftSet[];
  readonly chains: readonly Chain[];
}

/** A set, or a map when it has `data`. */
export interface NftSet {
  readonly name: string;
  /** The fields of a key. */
  readonly key: readonly Datatype[];
  /** The fields of a map's values. */
  readonly data?: readonly Datatype[];
  /**
   * Whether elements are ranges.
   * @default false
   */
  readonly interval?: boolean;
  /** Rules add elements, `size` at most, each of which goes after `timeoutMs` if that is given. */
  readonly dynamic?: { readonly size: number; readonly timeoutMs?: number };
  /**
   * What the set holds from the start. Rebuilding the chains of a table leaves elements alone.
   * @default []
   */
  readonly elements?: readonly Element[];
}

/** An element of a set; `encodeKey()` makes keys and data. */
export interface Element {
  readonly key: Uint8Array;
  /** Last key of a range (inclusive); only in interval sets. */
  readonly keyEnd?: Uint8Array;
  /** A map's value. */
  readonly data?: Uint8Array | undefined;
  /** At most 127 bytes; `nft list` shows it. */
  readonly comment?: string | undefined;
}

/** Where the kernel enters a base chain. */
export interface Hook {
  readonly type: "filter" | "nat" | "route";
  readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting";
  /** Lower comes first; connection tracking is at -200, destination NAT at -100, source NAT at 100. */
  readonly priority: number;
  /**
   * What happens to a packet at the end of the chain.
   * @default "accept"
   */
  readonly policy?: "accept" | "drop";
}

/** A chain; without a hook it is entered by jump and goto only. */
export interface Chain {
  readonly name: string;
  readonly hook?: Hook;
  readonly rules: readonly Rule[];
}

/** A rule: expressions evaluated in order until one of them ends it. */
export interface Rule {
  readonly expressions: readonly Expression[];
  /** At most 127 bytes; `nft list` shows it. */
  readonly comment?: string;
  /** The rule as `nft list` prints it, without the comment; `rule()` writes it. */
  readonly text?: string;
}

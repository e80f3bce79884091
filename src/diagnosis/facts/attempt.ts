/**
 * How a feature of the kernel is tried.
 *
 * @module
 */
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { NftablesConnection } from "../../nftables/connection.ts";

/** Sockets inside the namespace for trials. */
export interface TrialGround {
  readonly namespace: NetworkNamespace;
  readonly route: Connection;
  /** Undefined without netfilter. */
  readonly nft: NftablesConnection | undefined;
  readonly diag: Connection | undefined;
}

/** One feature, and how to try it. */
export interface Attempt {
  readonly feature: string;
  readonly needed: boolean;
  readonly without: string;
  /** Throws when it does not work; false when the kernel took it, and does not do it. */
  run(ground: TrialGround): boolean | void;
}

/** A trial cannot be made, because what it needs did not work. */
export class Untried extends Error {
  /** `"Untried"`. */
  override readonly name = "Untried";
}

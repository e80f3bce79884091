/**
 * What a trial of the kernel is, and what comes of it.
 *
 * @module
 */
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { NftablesConnection } from "../../nftables/connection.ts";

/** What came of trying a feature. */
export type TrialOutcome =
  /** It works. */
  | "works"
  /** The kernel does not have it. */
  | "absent"
  /** The kernel has it, maybe, and this process may not use it. */
  | "refused"
  /** What it needs did not work. */
  | "untried";

/** A feature of the kernel, and what came of trying it. */
export interface Trial {
  /** Such as `veth`. */
  readonly feature: string;
  /** Whether podnet cannot be without it. */
  readonly needed: boolean;
  readonly outcome: TrialOutcome;
  /** What is lost without it. */
  readonly without: string;
  /** The error, when it did not work: `EOPNOTSUPP`. */
  readonly error?: string;
}

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

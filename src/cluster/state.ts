/**
 * How a node stands to its cluster.
 *
 * @module
 */

/**
 * - `joining`: it has no place yet.
 * - `ready`: its lease lasts, and it learns of others at once.
 * - `disconnected`: the store does not answer. What runs goes on, and new pods get addresses until the lease ends.
 * - `expired`: the lease has ended. What runs goes on; new pods get no addresses until the node has its networks again.
 * - `left`: it has given its place back, or this process no longer keeps it.
 */
export type MembershipState =
  | "joining"
  | "ready"
  | "disconnected"
  | "expired"
  | "left";

/** A state, and since when. */
export interface MembershipStatus {
  /** See {@linkcode MembershipState}. */
  readonly state: MembershipState;
  /** RFC 3339, by the machine's calendar: for people. */
  readonly since: string;
  /** Why it is not `ready`. */
  readonly reason?: string;
  /** How long the lease is good for yet, in milliseconds; missing when it has no end. */
  readonly leaseRemainingMs?: number;
}

/**
 * What a trial of the kernel is, and what comes of it.
 *
 * @module
 */

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
  /** Whether it is there. */
  readonly outcome: TrialOutcome;
  /** What is lost without it. */
  readonly without: string;
  /** The error, when it did not work: `EOPNOTSUPP`. */
  readonly error?: string;
}

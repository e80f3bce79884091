/**
 * What is not as it should be: in words for people, with what mends it.
 *
 * @module
 */

/** Something that is not as it should be. */
export interface Finding {
  /** The sandbox as `namespace/name`; missing when it is the node itself. */
  readonly sandbox?: string;
  /** What it is about, such as `route to 10.244.1.5/32`. */
  readonly object: string;
  /** What is wrong with it. */
  readonly problem: string;
  /** What `repair()` does about it, or what a person has to do. */
  readonly remedy: string;
  /** Whether `repair()` can mend it. */
  readonly repairable: boolean;
  /** Why `repair()` could not mend it, though it tried. */
  readonly failure?: string;
}

/** What `repair()` did. */
export interface Repair {
  /** What was found and is as it should be now. */
  readonly mended: readonly Finding[];
  /** What was found and is not mended: only people can, or it failed, which its `failure` tells. */
  readonly remaining: readonly Finding[];
}

/** A finding and what mends it; without `mend` only people can. */
export interface Difference extends Finding {
  readonly mend?: () => void;
}

/** What the remedy of a finding is made from. */
export type Cure =
  | { readonly does: string; readonly mend?: () => void }
  | { readonly advice: string; readonly does?: never };

/** Puts a difference into words. */
export function difference(
  sandbox: string | undefined,
  object: string,
  problem: string,
  cure: Cure,
): Difference {
  return {
    ...(sandbox === undefined ? {} : { sandbox }),
    object,
    problem,
    ...(cure.does === undefined ? { remedy: cure.advice, repairable: false } : {
      remedy: `repair ${cure.does} (podnet check --repair)`,
      repairable: true,
      ...(cure.mend === undefined ? {} : { mend: cure.mend }),
    }),
  };
}

/** The finding alone, as it is given away. */
export function findingOf({ mend: _, ...finding }: Difference): Finding {
  return finding;
}

/** Two findings with the same key are the same thing found again. */
export function keyOf({ sandbox = "", object, problem }: Finding): string {
  return `${sandbox}\n${object}\n${problem}`;
}

/** The sandbox of such a key, as its finding names it; empty when it is the node itself. */
export function sandboxOf(key: string): string {
  return key.slice(0, key.indexOf("\n"));
}

/**
 * What is fuzzed: a property over generated inputs, and how to run it for a while.
 *
 * @module
 */
import fc from "fast-check";

/** A decoder, or anything else that takes what it did not make, and what always holds of it. */
export interface Target {
  readonly name: string;
  /** Of one input: throws when it does not hold. */
  readonly property:
    | fc.IProperty<[unknown]>
    | fc.IAsyncProperty<[unknown]>;
  /**
   * Inputs in the form that runs with all the other tests.
   * @default 200
   */
  readonly runs?: number;
}

/** A target whose property is a function that throws. */
export function target<T>(
  name: string,
  input: fc.Arbitrary<T>,
  check: (input: T) => void | Promise<void>,
  options: { readonly runs?: number; readonly async?: true } = {},
): Target {
  const { async = false, ...rest } = options;
  const property = async
    ? fc.asyncProperty(input, async (value) => {
      await check(value);
    })
    : fc.property(input, (value) => {
      check(value);
    });
  return { name, property: property as Target["property"], ...rest };
}

/** Runs `decode`; an error that is none of its own kinds is thrown on, undefined stands for one that is. */
export function attempt<T>(
  decode: () => T,
  ...kinds: readonly (abstract new (...args: never[]) => Error)[]
): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (kinds.some((kind) => error instanceof kind)) return undefined;
    throw error;
  }
}

/**
 * Tries `runs` inputs.
 *
 * @returns how many were tried
 * @throws {Error} with the seed, the path to the failing input and the least input that fails
 */
export async function tryInputs(
  { name, property }: Target,
  { runs, seed }: { readonly runs: number; readonly seed: number },
): Promise<number> {
  const details = await fc.check(
    property as fc.IAsyncProperty<[unknown]>,
    { numRuns: runs, seed },
  );
  if (!details.failed) return details.numRuns;
  throw new Error(
    `${name}: seed ${seed}\n${await fc.asyncDefaultReportMessage(details)}`,
    { cause: details.errorInstance },
  );
}

/**
 * How thorough the tests of this directory are: `deno task faults` has them meet every call and every error, the tests of
 * each change a part of them that still meets every call that changes something.
 *
 * @module
 */

/** Whether everything is tried. */
export const EVERY: boolean = Deno.args.includes("every");

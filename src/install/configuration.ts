/**
 * A configuration that may be there already: what stands in it stays, but for what is said now; what it lacks is added.
 *
 * @module
 */

/** An object with what it lacks behind what it has. */
export function completed<T extends object>(there: object, usual: T): T {
  return { ...there, ...usual, ...there };
}

/**
 * The text of a configuration.
 *
 * @param before the text that is there: the result when that says the same, in whatever way
 */
export function configurationText(value: unknown, before?: string): string {
  return before !== undefined &&
      JSON.stringify(JSON.parse(before)) === JSON.stringify(value)
    ? before
    : `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * Orders without meaning, made one, so that equal specs have equal normalised forms.
 * @module
 */

/** The members by their keys. */
export function sortedByKey<T>(
  record: Readonly<Record<string, T>>,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(record).sort(([a], [b]) => compareText(a, b)),
  );
}

/** By code units, whatever the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

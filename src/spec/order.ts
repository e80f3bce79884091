/**
 * Orders without meaning, made one, so that equal specs have equal normalised forms.
 * @module
 */
import { compareText } from "../text.ts";

/** The members by their keys. */
export function sortedByKey<T>(
  record: Readonly<Record<string, T>>,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(record).sort(([a], [b]) => compareText(a, b)),
  );
}

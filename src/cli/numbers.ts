/**
 * Numbers on the command line.
 *
 * @module
 */
import { quote } from "./options.ts";
import { UsageError } from "./usage.ts";

/** A number on the command line; the library says which ones are allowed. */
export function integer(option: string, text: string): number {
  if (!/^-?\d+$/.test(text)) {
    throw new UsageError(
      `--${option} ${quote(text)} is not a whole number: write one like 1500`,
    );
  }
  return Number(text);
}

/**
 * What the command line itself gets wrong.
 *
 * @module
 */
import { editDistance } from "../text.ts";

/** A mistake in the command line. The message is one line that says what to write instead; exit code 2. */
export class UsageError extends Error {
  /** `"UsageError"`. */
  override readonly name = "UsageError";
}

/** `; did you mean "x"?` when one of the candidates is close to what was typed, else the empty string. */
export function didYouMean(
  typed: string,
  candidates: Iterable<string>,
): string {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(typed.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = candidate.startsWith(typed)
      ? 1
      : editDistance(typed, candidate);
    if (distance < least && distance < candidate.length) {
      [best, least] = [candidate, distance];
    }
  }
  return best === undefined ? "" : `; did you mean "${best}"?`;
}

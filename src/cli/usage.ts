/**
 * What the command line itself gets wrong.
 *
 * @module
 */

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

/** Levenshtein distance: single characters inserted, deleted or replaced. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
      ));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

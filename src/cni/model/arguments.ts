/**
 * `CNI_ARGS`: `K=V;K=V`, deprecated and in daily use.
 * @module
 */

import { CniError, CniErrorCode } from "./error.ts";

/** What `CNI_ARGS` had. */
export interface CniArguments {
  /** Every pair; of a key that stands twice the last one counts. */
  readonly pairs: ReadonlyMap<string, string>;
  /** `IgnoreUnknown=1`: keys that nobody knows are no error. */
  readonly ignoreUnknown: boolean;
}

/**
 * Reads `CNI_ARGS`.
 * @throws {CniError} 4 for anything that is no pair
 */
export function parseArguments(text: string): CniArguments {
  const pairs = new Map<string, string>();
  for (const pair of text.split(";")) {
    // Nothing at all, and a separator at the end.
    if (pair === "") continue;
    const [key = "", value, more] = pair.split("=");
    if (key === "" || value === undefined || more !== undefined) {
      throw invalid(`a pair like K=V, not ${JSON.stringify(pair)}`);
    }
    pairs.set(key, value);
  }
  return { pairs, ignoreUnknown: isIgnored(pairs.get("IgnoreUnknown")) };
}

function isIgnored(value = "0"): boolean {
  const word = value.toLowerCase();
  if (word === "1" || word === "true") return true;
  if (word === "0" || word === "false") return false;
  throw invalid(`IgnoreUnknown of 0, 1, true or false, not ${value}`);
}

/**
 * Refuses the keys that are not known, unless they are to be ignored.
 * @throws {CniError} 4 with all of them
 */
export function requireKnown(
  { pairs, ignoreUnknown }: CniArguments,
  known: readonly string[],
): void {
  if (ignoreUnknown) return;
  const unknown = [...pairs.keys()].filter((key) =>
    key !== "IgnoreUnknown" && !known.includes(key)
  );
  if (unknown.length > 0) {
    throw invalid(`known keys or IgnoreUnknown=1, not ${unknown.join(", ")}`);
  }
}

/**
 * The text of these pairs.
 * @throws {CniError} 4 when a key or value has a separator in it
 */
export function formatArguments(
  pairs: readonly (readonly [string, string])[],
): string {
  return pairs.map(([key, value]) => {
    if (key === "" || /[=;\0]/.test(key) || /[=;\0]/.test(value)) {
      throw invalid(
        `keys and values without "=" and ";", not ${JSON.stringify(key)}`,
      );
    }
    return `${key}=${value}`;
  }).join(";");
}

function invalid(wanted: string): CniError {
  return new CniError(
    CniErrorCode.INVALID_ENVIRONMENT,
    `CNI_ARGS must have ${wanted}`,
  );
}

/**
 * What all layers do with texts.
 *
 * @module
 */

/** Orders texts by code units, whatever the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Control characters escaped, those of writing direction too (UAX #9), for one line of a terminal: names and reasons come
 * from files that others may have damaged.
 */
export function printable(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex
    /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A text of at most so many letters: the beginning of a longer one. */
export function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/** An address as it stands before a port: an IPv6 address needs brackets there (RFC 3986, 3.2.2). */
export function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** Levenshtein's distance: the number of single-letter edits that turn one text into the other. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const [left = 0, above = 0, diagonal = 0] = [
        row[j - 1],
        previous[j],
        previous[j - 1],
      ];
      row.push(
        Math.min(left + 1, above + 1, diagonal + Number(a[i - 1] !== b[j - 1])),
      );
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/**
 * IP addresses as people write them.
 *
 * Without regular expressions: those that tell addresses apart take 3 ms to be compiled, more than a fresh process has to
 * spare.
 *
 * @module
 */

const GROUPS = 8;

/** The 4 or 16 bytes of an address; undefined when the text is none. */
export function addressBytes(text: string): Uint8Array | undefined {
  return text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
}

/** Four decimal numbers without leading zeros. */
function ipv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    const byte = readNumber(part, 10, 3);
    const hasLeadingZero = part.length > 1 && part.startsWith("0");
    if (byte === undefined || byte > 0xff || hasLeadingZero) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

/** RFC 4291, 2.2: eight groups, `::` once in place of one or more groups of zeros, IPv4 in place of the last two. */
function ipv6Bytes(text: string): Uint8Array | undefined {
  const [left = "", right, more] = text.split("::");
  if (more !== undefined) return undefined;
  const head = readGroups(left, right === undefined);
  const tail = right === undefined ? [] : readGroups(right, true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = GROUPS - head.length - tail.length;
  if (right === undefined ? missing !== 0 : missing < 1) return undefined;
  const bytes = new Uint8Array(2 * GROUPS);
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  for (const [i, group] of groups.entries()) {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group;
  }
  return bytes;
}

/** Groups with colons between them, none of an empty text. */
function readGroups(text: string, isLast: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (isLast && i === parts.length - 1 && part.includes(".")) {
      const [a, b, c, d] = ipv4Bytes(part) ?? [];
      if (
        a === undefined || b === undefined || c === undefined || d === undefined
      ) return undefined;
      groups.push(a << 8 | b, c << 8 | d);
    } else {
      const group = readNumber(part, 16, 4);
      if (group === undefined) return undefined;
      groups.push(group);
    }
  }
  return groups;
}

/** Digits, at least one and at most `length`. */
function readNumber(
  text: string,
  radix: 10 | 16,
  length: number,
): number | undefined {
  if (text.length === 0 || text.length > length) return undefined;
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = digitOf(text.charCodeAt(i));
    if (digit >= radix) return undefined;
    number = number * radix + digit;
  }
  return number;
}

/** 16 for what is no digit. */
function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30; // 0 to 9
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : 16; // a to f
}

/** The canonical text of 4 or 16 bytes: RFC 5952 for IPv6, with IPv4 in its last part where it is IPv4-mapped. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (isIpv4Mapped(bytes)) return `::ffff:${bytes.subarray(12).join(".")}`;
  const groups: number[] = [];
  for (let i = 0; i < bytes.length; i += 2) {
    groups.push((bytes[i] ?? 0) << 8 | (bytes[i + 1] ?? 0));
  }
  const [start, end] = longestZeros(groups);
  const text = (some: readonly number[]) =>
    some.map((group) => group.toString(16)).join(":");
  return end - start < 2
    ? text(groups)
    : `${text(groups.slice(0, start))}::${text(groups.slice(end))}`;
}

/** Where the longest row of zeros begins and ends, the first of several. */
function longestZeros(groups: readonly number[]): readonly [number, number] {
  let longest: readonly [number, number] = [0, 0];
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === 0) continue;
    if (i - start > longest[1] - longest[0]) longest = [start, i];
    start = i + 1;
  }
  return longest;
}

/** ::ffff:0:0/96 (RFC 4291, 2.5.5.2): IPv4 in IPv6 clothes. */
export function isIpv4Mapped(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[10] === 0xff && bytes[11] === 0xff &&
    bytes.subarray(0, 10).every((byte) => byte === 0);
}

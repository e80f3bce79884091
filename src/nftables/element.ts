/**
 * Elements of sets, to and from what the kernel carries.
 *
 * Ranges take two forms. A set with keys of one type holds the first key of each range and, with a flag, the first key
 * after it (nft_set_rbtree). A set with concatenated keys holds both ends in one element (nft_set_pipapo).
 *
 * @module
 */
import { CodecError } from "../netlink/codec.ts";
import { byteorderOf, keyLength } from "./datatype.ts";
import type { Element, NftSet } from "./ruleset.ts";
import { type ElementAttrs, ElementFlag } from "./tables.ts";
import { decodeComment, encodeElementUserdata } from "./userdata.ts";

/**
 * The kernel's elements for these, in the order in which they are to be added.
 * @throws {RangeError} when a key or value has the wrong length, ranges overlap, or a range cannot be one
 */
export function encodeElements(
  set: NftSet,
  elements: readonly Element[],
): readonly ElementAttrs[] {
  for (const element of elements) assertFits(set, element);
  if (set.interval !== true) return elements.map((e) => single(e));
  if (set.key.length > 1) {
    return elements.map((e) => ({
      ...single(e),
      keyEnd: { value: e.keyEnd ?? e.key },
    }));
  }
  if (byteorderOf(set.key) !== "big") {
    throw new RangeError(
      `set "${set.name}": the kernel compares bytes, so ranges of ${set.key} are not in order`,
    );
  }
  const sorted = elements.toSorted((a, b) => compareBytes(a.key, b.key));
  const encoded: ElementAttrs[] = [];
  let last: Uint8Array | undefined;
  for (const element of sorted) {
    if (last !== undefined && compareBytes(element.key, last) <= 0) {
      throw new RangeError(
        `set "${set.name}": ranges overlap at ${element.key.toHex()}`,
      );
    }
    last = element.keyEnd ?? element.key;
    const after = successor(last);
    encoded.push(single(element, after === undefined));
    if (after !== undefined) {
      encoded.push({
        key: { value: after },
        flags: ElementFlag.intervalEnd,
      });
    }
  }
  return encoded;
}

/**
 * The kernel's elements by which these are looked for or deleted: data and comment are not looked at.
 * @throws {RangeError} as {@linkcode encodeElements}
 */
export function encodeKeys(
  set: NftSet,
  elements: readonly Element[],
): readonly ElementAttrs[] {
  const size = keyLength(set.key);
  const isPlain = set.interval !== true &&
    elements.every(({ key, keyEnd }) =>
      key.length === size && keyEnd === undefined
    );
  // Mostly so, and in a third of the time.
  if (isPlain) return elements.map(({ key }) => ({ key: { value: key } }));
  const { data: _data, ...keysOnly } = set;
  const ranges = elements.map(({ data: _data, comment: _comment, ...range }) =>
    range
  );
  return encodeElements(keysOnly, ranges);
}

/**
 * The elements that the kernel's stand for. Ranges come in order.
 * @throws {CodecError} when a key is none of the set's: somebody has made another set of that name
 */
export function decodeElements(
  set: Pick<NftSet, "name" | "key" | "interval">,
  encoded: readonly ElementAttrs[],
): readonly Element[] {
  const keyBytes = keyLength(set.key);
  for (const e of encoded) {
    const lengths = [keyOf(e).length, e.keyEnd?.value?.length ?? keyBytes];
    if (lengths.some((length) => length !== keyBytes)) {
      throw new CodecError(
        `set "${set.name}" has keys of ${keyBytes} bytes, not ${lengths}`,
      );
    }
  }
  if (set.interval !== true) return encoded.map((e) => decodeSingle(e));
  if (set.key.length > 1) {
    return encoded.map((e) => decodeSingle(e, e.keyEnd?.value));
  }
  // The end of one range may be the start of the next: the end comes first then.
  const sorted = encoded.toSorted((a, b) =>
    compareBytes(keyOf(a), keyOf(b)) || Number(isEnd(b)) - Number(isEnd(a))
  );
  const elements: Element[] = [];
  for (const [i, e] of sorted.entries()) {
    if (isEnd(e)) continue;
    const next = sorted[i + 1];
    elements.push(decodeSingle(
      e,
      next === undefined
        ? new Uint8Array(keyOf(e).length).fill(0xff)
        : predecessor(keyOf(next)),
    ));
  }
  return elements;
}

function assertFits(set: NftSet, element: Element): void {
  const { key, keyEnd, data } = element;
  const keyBytes = keyLength(set.key);
  const dataBytes = set.data === undefined ? undefined : keyLength(set.data);
  if (
    key.length !== keyBytes || (keyEnd ?? key).length !== keyBytes ||
    data?.length !== dataBytes
  ) {
    throw new RangeError(
      `set "${set.name}" has keys of ${keyBytes} bytes and data of ${
        dataBytes ?? 0
      }: use encodeKey()`,
    );
  }
  if (keyEnd === undefined) return;
  if (set.interval !== true) {
    throw new RangeError(`set "${set.name}" has no ranges`);
  }
  if (set.key.length === 1 && compareBytes(key, keyEnd) > 0) {
    throw new RangeError(
      `set "${set.name}": range ends before it starts, at ${key.toHex()}`,
    );
  }
}

function single(element: Element, openEnd = false): ElementAttrs {
  const userdata = encodeElementUserdata(element.comment, openEnd);
  return {
    key: { value: element.key },
    ...(element.data === undefined ? {} : { data: { value: element.data } }),
    ...(userdata === undefined ? {} : { userdata }),
  };
}

function decodeSingle(e: ElementAttrs, last?: Uint8Array): Element {
  const key = keyOf(e);
  const comment = decodeComment(e.userdata);
  const data = e.data?.value;
  return {
    key,
    ...(last === undefined || compareBytes(key, last) === 0
      ? {}
      : { keyEnd: last }),
    ...(data === undefined ? {} : { data }),
    ...(comment === undefined ? {} : { comment }),
  };
}

function keyOf(e: ElementAttrs): Uint8Array {
  return e.key?.value ?? new Uint8Array();
}

function isEnd(e: ElementAttrs): boolean {
  return ((e.flags ?? 0) & ElementFlag.intervalEnd) !== 0;
}

/** Compares as memcmp does; both have the same length. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The next key, or undefined after the last. */
function successor(key: Uint8Array): Uint8Array | undefined {
  const next = key.slice();
  for (let i = next.length - 1; i >= 0; i--) {
    next[i] = (next[i] ?? 0) + 1;
    if (next[i] !== 0) return next;
  }
  return undefined;
}

/** The key before; before the first comes the last. */
export function predecessor(key: Uint8Array): Uint8Array {
  const previous = key.slice();
  for (let i = previous.length - 1; i >= 0; i--) {
    const byte = previous[i] ?? 0;
    previous[i] = byte - 1;
    if (byte !== 0) break;
  }
  return previous;
}

/** Those elements whose keys, or ranges of keys, are not among others. */
export function elementsWithout(
  elements: readonly Element[],
  others: readonly Element[],
): readonly Element[] {
  const known = new Set(others.map(rangeOf));
  return elements.filter((element) => !known.has(rangeOf(element)));
}

function rangeOf({ key, keyEnd = key }: Element): string {
  return `${key.toHex()}-${keyEnd.toHex()}`;
}

/**
 * Reading of CBOR (RFC 8949), the part of it that plain data needs: numbers, texts, bytes, true, false, null, undefined,
 * lists, and maps with texts for keys.
 *
 * Written for bytes of strangers. A usual decoder makes a list as long as its header says before it has read one entry:
 * of a thousand such headers inside each other, five bytes each, the process dies. This one allocates what it has read.
 *
 * @module
 */

/** Records have five levels. */
const MAX_DEPTH = 16;

/** The first three bits of an item (RFC 8949, 3.1). */
const MAJOR = {
  unsigned: 0,
  negative: 1,
  bytes: 2,
  text: 3,
  list: 4,
  map: 5,
  simple: 7,
} as const;
/** Simple values, by their first byte (RFC 8949, 3.3). */
const SIMPLE: ReadonlyMap<number, unknown> = new Map<number, unknown>([
  [0xf4, false],
  [0xf5, true],
  [0xf6, null],
  [0xf7, undefined],
]);
/** Numbers with a fraction, of four and eight bytes. */
const FLOAT = { single: 0xfa, double: 0xfb } as const;

/** Keys that mean something to JavaScript objects. */
const FORBIDDEN_KEYS: readonly string[] = [
  "__proto__",
  "constructor",
  "prototype",
];

/** The bytes are no CBOR, or CBOR of a kind that no record has. */
export class CborError extends Error {
  /** `"CborError"`. */
  override readonly name = "CborError";
  /** Where, in bytes from the start. */
  readonly offset: number;

  /** Whether the bytes end where more are needed. */
  readonly isTruncated: boolean;

  /** Makes the error. */
  constructor(reason: string, offset: number, isTruncated = false) {
    super(`${reason} at byte ${offset}`);
    this.offset = offset;
    this.isTruncated = isTruncated;
  }
}

/**
 * Decodes one item that fills all of the bytes.
 *
 * @throws {CborError}
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.item(0);
  if (reader.at < bytes.length) {
    throw new CborError("there is more than one item", reader.at);
  }
  return value;
}

/**
 * Decodes one item after the other (RFC 8742). The last of several may be cut off, and is left out then: whoever added it
 * has died.
 *
 * @throws {CborError}
 */
export function decodeCborSequence(bytes: Uint8Array): unknown[] {
  const reader = new Reader(bytes);
  const items = [reader.item(0)];
  try {
    while (reader.at < bytes.length) items.push(reader.item(0));
  } catch (error) {
    if (!(error instanceof CborError) || !error.isTruncated) throw error;
  }
  return items;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Reader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** The next item. */
  item(depth: number): unknown {
    const start = this.at;
    if (depth > MAX_DEPTH) throw new CborError("is nested too deeply", start);
    const first = this.#byte();
    const major = first >> 5;
    if (major === MAJOR.simple) return this.#simple(first, start);
    const argument = this.#argument(first & 0x1f, start);
    switch (major) {
      case MAJOR.unsigned:
        return argument;
      case MAJOR.negative:
        return -1 - argument;
      case MAJOR.bytes:
        return this.#slice(argument).slice();
      case MAJOR.text:
        return this.#text(argument, start);
      case MAJOR.list:
        return this.#list(argument, depth, start);
      case MAJOR.map:
        return this.#map(argument, depth, start);
    }
    throw new CborError("there is a tag, which no record has", start);
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new CborError("is truncated", this.at, true);
    this.at++;
    return byte;
  }

  #simple(first: number, start: number): unknown {
    if (SIMPLE.has(first)) return SIMPLE.get(first);
    const at = this.at;
    if (first === FLOAT.single) {
      this.#skip(4);
      return this.#view.getFloat32(at);
    }
    if (first === FLOAT.double) {
      this.#skip(8);
      return this.#view.getFloat64(at);
    }
    throw new CborError("there is a value that no record has", start);
  }

  /** The number that the first byte has in its last five bits, or the bytes after it. */
  #argument(info: number, start: number): number {
    if (info < 24) return info;
    const size = { 24: 1, 25: 2, 26: 4, 27: 8 }[info];
    if (size === undefined) {
      throw new CborError("there is an item of no definite length", start);
    }
    const at = this.at;
    this.#skip(size);
    if (size === 1) return this.#view.getUint8(at);
    if (size === 2) return this.#view.getUint16(at);
    if (size === 4) return this.#view.getUint32(at);
    const value = this.#view.getBigUint64(at);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new CborError("there is a number beyond 2^53", start);
    }
    return Number(value);
  }

  #skip(size: number): void {
    if (size > this.#bytes.length - this.at) {
      throw new CborError("is truncated", this.#bytes.length, true);
    }
    this.at += size;
  }

  #slice(size: number): Uint8Array {
    const at = this.at;
    this.#skip(size);
    return this.#bytes.subarray(at, at + size);
  }

  #text(size: number, start: number): string {
    try {
      return utf8.decode(this.#slice(size));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new CborError("there is a text that is not UTF-8", start);
    }
  }

  #list(count: number, depth: number, start: number): unknown[] {
    this.#assertRoom(count, start);
    const list: unknown[] = [];
    for (let i = 0; i < count; i++) list.push(this.item(depth + 1));
    return list;
  }

  #map(count: number, depth: number, start: number): Record<string, unknown> {
    this.#assertRoom(count * 2, start);
    const map: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const at = this.at;
      const key = this.item(MAX_DEPTH);
      if (typeof key !== "string" || FORBIDDEN_KEYS.includes(key)) {
        throw new CborError("there is a key that no record has", at);
      }
      if (Object.hasOwn(map, key)) {
        throw new CborError("there is a key twice", at);
      }
      map[key] = this.item(depth + 1);
    }
    return map;
  }

  /** Each item takes a byte at least. */
  #assertRoom(items: number, start: number): void {
    if (items > this.#bytes.length - this.at) {
      throw new CborError("is truncated, or lies about a length", start, true);
    }
  }
}

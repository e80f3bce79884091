/**
 * Writing of CBOR (RFC 8949): what `cbor.ts` reads, in its shortest form, for any reader of CBOR.
 *
 * @module
 */
import { FLOAT, MAJOR, SIMPLE } from "./cbor.ts";

/**
 * Encodes plain data: numbers, texts, bytes, true, false, null, undefined, lists, and objects of these.
 *
 * @throws {TypeError} for anything else
 */
export function encodeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  writer.item(value);
  return writer.taken();
}

const FIRST_BYTES = 1024;

const utf8 = new TextEncoder();

class Writer {
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;

  taken(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  item(value: unknown): void {
    for (const [byte, simple] of SIMPLE) {
      if (value === simple) return this.#append([byte]);
    }
    if (typeof value === "number") return this.#number(value);
    if (typeof value === "string") return this.#text(value);
    if (value instanceof Uint8Array) {
      this.#head(MAJOR.bytes, value.length);
      return this.#append(value);
    }
    if (Array.isArray(value)) {
      this.#head(MAJOR.list, value.length);
      return value.forEach((item) => this.item(item));
    }
    if (typeof value !== "object" || value === null) {
      throw new TypeError(`a ${typeof value} cannot be written as CBOR`);
    }
    const entries = Object.entries(value);
    this.#head(MAJOR.map, entries.length);
    for (const [key, item] of entries) {
      this.#text(key);
      this.item(item);
    }
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      return value < 0
        ? this.#head(MAJOR.negative, -1 - value)
        : this.#head(MAJOR.unsigned, value);
    }
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    this.#append([FLOAT.double]);
    this.#append(new Uint8Array(view.buffer));
  }

  #text(text: string): void {
    const bytes = utf8.encode(text);
    this.#head(MAJOR.text, bytes.length);
    this.#append(bytes);
  }

  /** The first byte of an item, and its number in as few bytes as hold it (RFC 8949, 3). */
  #head(major: number, argument: number): void {
    const first = major << 5;
    if (argument < 24) return this.#append([first | argument]);
    const [info, size] = argument < 0x100
      ? [24, 1]
      : argument < 0x1_0000
      ? [25, 2]
      : argument < 0x1_0000_0000
      ? [26, 4]
      : [27, 8];
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, BigInt(argument));
    this.#append([first | info]);
    this.#append(new Uint8Array(view.buffer, 8 - size));
  }

  #append(bytes: ArrayLike<number>): void {
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }
}

/**
 * Bytes that a decoder which believes their lengths would die of.
 *
 * @module
 */
import { Encoder } from "cbor-x/encode";

/** The same header again and again. */
function bomb(header: readonly number[]): Uint8Array {
  return new Uint8Array(Array(20_000).fill(header).flat());
}

const cbor = new Encoder({ useRecords: false });

/** Bytes that are CBOR of a kind that kills, or almost. */
export const BYTES: Readonly<Record<string, Uint8Array>> = {
  "lists of a million inside each other": bomb([0x9a, 0x00, 0x0f, 0x42, 0x40]),
  "maps of a million inside each other": bomb([0xba, 0x00, 0x0f, 0x42, 0x40]),
  "lists of one inside each other": bomb([0x81]),
  "tags inside each other": bomb([0xc1]),
  "lists without end": bomb([0x9f]),
  "a list of 4 GB": Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff),
  "bytes of 4 GB": Uint8Array.of(0x5a, 0xff, 0xff, 0xff, 0xff),
  "text of 2^63": Uint8Array.of(0x7b, 0x80, 0, 0, 0, 0, 0, 0, 0),
  "a key twice": Uint8Array.of(0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2),
  "a key that is a list": Uint8Array.of(0xa1, 0x80, 1),
  "the key __proto__": new Uint8Array([
    0xa1,
    0x69,
    ...new TextEncoder().encode("__proto__"),
    0xa1,
    0x61,
    0x78,
    1,
  ]),
  "a number beyond 2^53": cbor.encode(2n ** 60n),
  "two items": Uint8Array.of(0xa0, 0xa0),
  "broken UTF-8": Uint8Array.of(0x61, 0xff),
};

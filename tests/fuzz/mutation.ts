/**
 * Damage to bytes, as values: fast-check finds the least of it that is enough.
 *
 * @module
 */
import fc from "fast-check";

/** What is done to bytes in one place. Positions are parts of 65536 of the length, so that they fit any bytes. */
export type Mutation =
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "byte"; readonly at: number; readonly value: number }
  | { readonly kind: "length"; readonly at: number; readonly value: number }
  | { readonly kind: "swap"; readonly at: number; readonly to: number }
  | { readonly kind: "truncate"; readonly at: number }
  | { readonly kind: "repeat"; readonly at: number; readonly size: number }
  | {
    readonly kind: "splice";
    readonly at: number;
    readonly from: number;
    readonly size: number;
  };

const place = fc.nat({ max: 0xffff });
const size = fc.nat({ max: 64 });

/** Lengths and numbers at which decoders stumble. */
const lie = fc.constantFrom(
  0,
  1,
  3,
  4,
  5,
  0x7fff,
  0x8000,
  0xffff,
  0x7fffffff,
  0x80000000,
  0xfffffff0,
  0xffffffff,
);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({
    kind: fc.constant("flip" as const),
    at: place,
    bit: fc.nat({ max: 7 }),
  }),
  fc.record({
    kind: fc.constant("byte" as const),
    at: place,
    value: fc.nat({ max: 255 }),
  }),
  fc.record({ kind: fc.constant("length" as const), at: place, value: lie }),
  fc.record({ kind: fc.constant("swap" as const), at: place, to: place }),
  fc.record({ kind: fc.constant("truncate" as const), at: place }),
  fc.record({ kind: fc.constant("repeat" as const), at: place, size }),
  fc.record({
    kind: fc.constant("splice" as const),
    at: place,
    from: place,
    size,
  }),
);

/** Some damage. */
export const mutations: fc.Arbitrary<readonly Mutation[]> = fc.array(mutation, {
  minLength: 1,
  maxLength: 6,
});

/** Bytes with the damage done; the given ones stay as they are. `other` is what is spliced in. */
export function mutated(
  bytes: Uint8Array,
  damage: readonly Mutation[],
  other: Uint8Array = bytes,
): Uint8Array<ArrayBuffer> {
  let now = new Uint8Array(bytes);
  for (const mutation of damage) now = mutatedOnce(now, mutation, other);
  return now;
}

function mutatedOnce(
  bytes: Uint8Array<ArrayBuffer>,
  mutation: Mutation,
  other: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { length } = bytes;
  const position = (part: number, of = length) => Math.floor(part * of / 65536);
  const at = position(mutation.at);
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  switch (mutation.kind) {
    case "flip":
      if (at < length) bytes[at] = (bytes[at] ?? 0) ^ 1 << mutation.bit;
      return bytes;
    case "byte":
      if (at < length) bytes[at] = mutation.value;
      return bytes;
    case "length": {
      // Attributes begin at multiples of 4, and with their length.
      const start = at & ~3;
      if (mutation.value > 0xffff && start + 4 <= length) {
        view.setUint32(start, mutation.value, true);
      } else if (start + 2 <= length) {
        view.setUint16(start, mutation.value & 0xffff, true);
      }
      return bytes;
    }
    case "swap": {
      const [a, b] = [at & ~3, position(mutation.to) & ~3];
      if (Math.max(a, b) + 2 > length) return bytes;
      const kept = view.getUint16(a, true);
      view.setUint16(a, view.getUint16(b, true), true);
      view.setUint16(b, kept, true);
      return bytes;
    }
    case "truncate":
      return bytes.slice(0, at);
    case "repeat":
      return joined(
        bytes.subarray(0, at + mutation.size),
        bytes.subarray(at),
      );
    case "splice": {
      const from = position(mutation.from, other.length);
      return joined(
        bytes.subarray(0, at),
        other.subarray(from, from + mutation.size),
        bytes.subarray(at),
      );
    }
  }
}

/** The parts one after another. */
export function joined(
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

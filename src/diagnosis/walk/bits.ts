/**
 * Bytes of which some bits are not known: what a rule would find in a packet that stands for many.
 *
 * @module
 */

/** Yes, no, or not known. */
export type Answer = "yes" | "no" | "maybe";

/** The opposite. */
export function not(answer: Answer): Answer {
  return answer === "maybe" ? answer : answer === "yes" ? "no" : "yes";
}

/** Bytes and which of their bits are known: a set bit of `known` says that the bit of `bytes` is right. */
export interface Bits {
  readonly bytes: Uint8Array;
  readonly known: Uint8Array;
}

/** Bytes that are known. */
export function known(bytes: Uint8Array): Bits {
  return { bytes, known: new Uint8Array(bytes.length).fill(0xff) };
}

/** Bytes that are not. */
export function unknown(length: number): Bits {
  return { bytes: new Uint8Array(length), known: new Uint8Array(length) };
}

/** A number of 32 bits in host byte order, as most metadata is. */
export function hostNumber(value: number): Bits {
  return known(new Uint8Array(Uint32Array.of(value).buffer));
}

/** Compares the first bytes with others for being the same. */
export function equal(bits: Bits, bytes: Uint8Array): Answer {
  let all = true;
  for (let i = 0; i < bytes.length; i++) {
    const mask = bits.known[i] ?? 0;
    if ((((bits.bytes[i] ?? 0) ^ (bytes[i] ?? 0)) & mask) !== 0) return "no";
    all &&= mask === 0xff;
  }
  return all ? "yes" : "maybe";
}

/** Whether the first bytes, as a number in network order, lie between two others, both included. */
export function between(
  bits: Bits,
  first: Uint8Array,
  last: Uint8Array,
): Answer {
  const least = bits.bytes.subarray(0, first.length).map((byte, i) =>
    byte & (bits.known[i] ?? 0)
  );
  const most = least.map((byte, i) => byte | ~(bits.known[i] ?? 0));
  if (compare(most, first) < 0 || compare(least, last) > 0) return "no";
  return compare(least, first) >= 0 && compare(most, last) <= 0
    ? "yes"
    : "maybe";
}

/** As memcmp(3) does, over the bytes of the second. */
function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < b.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** `bits & mask ^ xor`. */
export function maskXor(
  bits: Bits,
  mask: Uint8Array,
  xor: Uint8Array,
): Bits {
  const at = (bytes: Uint8Array, i: number) => bytes[i] ?? 0;
  return {
    bytes: mask.map((m, i) => at(bits.bytes, i) & m ^ at(xor, i)),
    // What is masked out is known to be zero.
    known: mask.map((m, i) => at(bits.known, i) | ~m),
  };
}

/** Reverses the bytes of each value of `size` bytes. */
export function swapped(bits: Bits, size: number): Bits {
  const swap = (bytes: Uint8Array) =>
    bytes.map((_, i) => {
      const start = i - i % size;
      return bytes[start + size - 1 - i % size] ?? 0;
    });
  return { bytes: swap(bits.bytes), known: swap(bits.known) };
}

/**
 * Small arrays of bytes, such as addresses.
 *
 * @module
 */

const SLAB_BYTES = 4096;

let slab = new Uint8Array(SLAB_BYTES);
let used = 0;

/**
 * A part of a larger array, zero. One of its own is memory outside of V8's heap, which has to be swept as well: three of a pod's
 * took 24 µs of its creation. Nobody may ask for the buffer.
 */
export function smallBytes(size: number): Uint8Array<ArrayBuffer> {
  if (used + size > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  used += size;
  return slab.subarray(used - size, used);
}

/** The same with the first bytes of others. */
export function smallCopy(
  from: Uint8Array,
  size: number = from.length,
): Uint8Array<ArrayBuffer> {
  const bytes = smallBytes(size);
  // Faster than set() for so few.
  for (let i = 0; i < size; i++) bytes[i] = from[i] as number;
  return bytes;
}

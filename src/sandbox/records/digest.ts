/**
 * Names made from texts.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8 } from "../../../ffi/buffer.ts";

/**
 * SHA-256 of a text, 32 bytes.
 *
 * Synchronous: the runtime's own takes 2 µs as well, and then 100 µs to come back from another thread, and a millisecond to
 * be loaded.
 */
export function digest(text: string): Uint8Array {
  FRESH._cloneInto(HASH);
  return HASH.update(utf8(text)).digest();
}

/** A hash has memory outside of JavaScript's heap, which takes as long to make as a text to digest. */
const HASH = sha256.create();
const FRESH = sha256.create();

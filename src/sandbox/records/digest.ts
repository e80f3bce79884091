/**
 * Names made from texts.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8Once } from "../../../ffi/buffer.ts";

/**
 * SHA-256 of a text, 32 bytes, valid until the next one is asked for.
 *
 * Synchronous: the runtime's own takes 2 µs as well, and then 100 µs to come back from another thread, and a millisecond to
 * be loaded.
 */
export function digest(text: string): Uint8Array {
  FRESH._cloneInto(HASH);
  HASH.update(utf8Once(text)).digestInto(DIGEST);
  return DIGEST;
}

/** A hash has memory outside of JavaScript's heap, which takes as long to make as a text to digest. */
const HASH = sha256.create();
const FRESH = sha256.create();
const DIGEST = new Uint8Array(32);

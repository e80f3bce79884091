/**
 * Names made from texts.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8Once } from "../../../ffi/buffer.ts";

/**
 * SHA-256 of a text, 32 bytes, valid until that of another one is asked for, and not to be written to. That of a sandbox's name is
 * asked for twice: 6 µs a pod.
 *
 * Synchronous: the runtime's own takes 2 µs as well, and then 100 µs to come back from another thread, and a millisecond to
 * be loaded.
 */
export function digest(text: string): Uint8Array<ArrayBuffer> {
  if (text === last) return DIGEST;
  FRESH._cloneInto(HASH);
  HASH.update(utf8Once(text)).digestInto(DIGEST);
  last = text;
  return DIGEST;
}

let last: string | undefined;

/** A hash has memory outside of JavaScript's heap, which takes as long to make as a text to digest. */
const HASH = sha256.create();
const FRESH = sha256.create();
const DIGEST = new Uint8Array(32);

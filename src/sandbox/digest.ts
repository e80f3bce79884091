/**
 * Names made from texts.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";

/**
 * SHA-256 of a text, 32 bytes.
 *
 * Synchronous: the runtime's own takes 2 µs as well, and then 100 µs to come back from another thread, and a millisecond to
 * be loaded.
 */
export function digest(text: string): Uint8Array {
  return sha256(new TextEncoder().encode(text));
}

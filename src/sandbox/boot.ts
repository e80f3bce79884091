/**
 * Which start of the machine this is.
 *
 * @module
 */
import { readTextFile } from "../../ffi/file.ts";

/** The kernel's id of this boot (random(4)). */
export function bootId(): string {
  return readTextFile("/proc/sys/kernel/random/boot_id").trim();
}

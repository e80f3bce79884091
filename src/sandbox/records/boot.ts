/**
 * Which start of the machine this is.
 *
 * @module
 */
import { readTextFile } from "../../../ffi/file.ts";

let known: string | undefined;

/** The kernel's id of this boot (random(4)), which no process outlives. */
export function bootId(): string {
  return known ??= readTextFile("/proc/sys/kernel/random/boot_id").trim();
}

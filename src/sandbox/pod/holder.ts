/**
 * Who holds a network namespace whose pin is lost.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { readDirectory, readLink } from "../../../ffi/file.ts";

/**
 * A process that is in the namespace, by looking at all that this one can see: for when a pin is lost.
 *
 * @param netnsId such as `net:[4026531840]`
 */
export function processIn(netnsId: string): number | undefined {
  for (const { name } of readDirectory("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readLink(`/proc/${name}/ns/net`) === netnsId) return Number(name);
    } catch (error) {
      // It has ended, or is another user's.
      if (
        !isSyscallError(
          error,
          Errno.ENOENT,
          Errno.ESRCH,
          Errno.EACCES,
          Errno.EPERM,
        )
      ) throw error;
    }
  }
  return undefined;
}

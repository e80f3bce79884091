/**
 * Directories with a pin in them: of sandboxes, of what is to be one, and of what was.
 *
 * @module
 */
import { SyscallError } from "../../../ffi/errno.ts";
import { isSandboxError } from "../../errors.ts";
import { unpin } from "../../namespace/pin.ts";
import { removeDirectory } from "../../state/directory.ts";

/** The name of the pin. */
export const PIN = "netns";

/** Takes one away as far as that can be done: what stays is left for the next who tries. */
export function removePinned(directory: string): void {
  try {
    unpin(`${directory}/${PIN}`);
    removeDirectory(directory);
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
}

/** Whether it is the file system, or the kernel, that did not want to. */
export function isRefusal(error: unknown): boolean {
  return error instanceof SyscallError || isSandboxError(error);
}

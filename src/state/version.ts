/**
 * Files that are looked at again only when they have changed.
 *
 * @module
 */
import { SyscallError } from "../../ffi/errno.ts";
import type { FileStatus } from "../../ffi/file_status.ts";
import {
  fstat,
  O_APPEND,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_WRONLY,
  open,
  writeAll,
} from "../../ffi/file.ts";
import { isSandboxError } from "../errors.ts";
import { statusOf } from "./directory.ts";

/**
 * Tells one state of a file from the others; undefined when there is none.
 *
 * Files are replaced here or become longer, and are never rewritten, and tmpfs, on which `/run` is, gives no inode number
 * twice. A file system that does, such as ext4, needs change times finer than a clock tick (Linux 6.13) to tell two files
 * of the same size apart that somebody else has put there within one tick.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function versionOf(path: string): string | undefined {
  const status = statusOf(path);
  return status && textOf(status);
}

/** As {@linkcode versionOf}; undefined also when that cannot be told, so that the file will be read again. */
export function versionIfTold(path: string): string | undefined {
  try {
    return versionOf(path);
  } catch (error) {
    if (isSandboxError(error) || error instanceof SyscallError) {
      return undefined;
    }
    throw error;
  }
}

function textOf({ ino, size, changed }: FileStatus): string {
  return `${ino} ${size} ${changed}`;
}

/**
 * Adds to the end of a file that was last seen as `version` says, by one write. The caller keeps other writers out by a lock,
 * and has just looked at the version.
 *
 * Readers see the file with what is added or without, and after a crash in the middle perhaps with a part of it. Costs 4 µs
 * where {@linkcode writeFileAtomic} costs 18.
 *
 * @param maxBytes that the file may have then
 * @returns the version that it is now; undefined when it is to be written anew: it was changed, or becomes too long
 * @throws {SyscallError} a part may have been added
 */
export function append(
  path: string,
  version: string,
  data: Uint8Array<ArrayBuffer>,
  maxBytes: number,
): string | undefined {
  const [inode, before] = version.split(" ");
  const size = Number(before) + data.length;
  if (size > maxBytes) return undefined;
  using file = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
  writeAll(file, data, path);
  const now = fstat(file);
  return now.size === size && String(now.ino) === inode
    ? textOf(now)
    : undefined;
}

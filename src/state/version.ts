/**
 * Files that are looked at again only when they have changed.
 *
 * @module
 */
import { SyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
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
  return statusOf(path)?.version;
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

/** A file that was written to the end of; see {@linkcode append}. */
export interface Appended {
  readonly version: string;
  readonly size: number;
}

/**
 * Opens a file for {@linkcode append}.
 *
 * @throws {SyscallError}
 */
export function openToAppend(path: string): OwnedFd {
  return open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
}

/**
 * Adds to the end of a file of this size, by one write. The caller keeps other writers out by a lock, and has just looked
 * whether the file is still the one that it was.
 *
 * Readers see the file with what is added or without, and after a crash in the middle perhaps with a part of it. Costs 4 µs
 * where {@linkcode writeFileAtomic} costs 18.
 *
 * @returns what the file is now; undefined when it is to be written anew, since somebody else has changed it
 * @throws {SyscallError} a part may have been added
 */
export function append(
  file: OwnedFd,
  before: number,
  data: Uint8Array<ArrayBuffer>,
): Appended | undefined {
  const size = before + data.length;
  writeAll(file, data);
  const now = fstat(file);
  return now.size === size && now.nlink > 0
    ? { version: now.version, size }
    : undefined;
}

/**
 * Directories and what is in them.
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import {
  lstat,
  lstatOrNone,
  mkdir,
  O_NOFOLLOW,
  readDirectory,
  realPath,
  rmdir,
} from "../../ffi/file.ts";
import type { FileStatus } from "../../ffi/file_status.ts";
import { refuseForeign, removeFile, removeIfEmpty, unusable } from "./store.ts";

/**
 * Whether there is anything of this name.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function present(path: string): boolean {
  return statusOf(path) !== undefined;
}

/** What the kernel knows of what has this name; undefined when nothing has.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function statusOf(path: string): FileStatus | undefined {
  try {
    return lstatOrNone(path);
  } catch (error) {
    throw unusable(path, error);
  }
}

/**
 * The one path of a directory, however it is written.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function realPathOf(path: string): string {
  try {
    return realPath(path);
  } catch (error) {
    throw unusable(path, error);
  }
}

/**
 * What is in a directory; nothing when there is none.
 *
 * @throws {SyscallError}
 */
export function entriesOf(path: string): ReturnType<typeof readDirectory> {
  try {
    return readDirectory(path);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return [];
    throw error;
  }
}

/**
 * The names of the directories in a directory of podnet's: what else somebody has put there, such as a symbolic link, is none.
 *
 * @throws {SandboxError} `StateUnusable` when it is not a directory: what a link leads to is not podnet's
 * @throws {SyscallError}
 */
export function directoriesIn(path: string): string[] {
  try {
    return readDirectory(path, O_NOFOLLOW)
      .filter(({ kind }) => kind === "directory").map(({ name }) => name);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return [];
    if (isSyscallError(error, Errno.ENOTDIR)) refuseForeign(path, lstat(path));
    throw error;
  }
}

/**
 * Whether there is a directory of this name, and no link that leads to one.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function isDirectory(path: string): boolean {
  return statusOf(path)?.kind === "directory";
}

/** Whether there is a directory of this name with nothing in it. */
export function isEmpty(path: string): boolean {
  try {
    return readDirectory(path).length === 0;
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) return false;
    throw unusable(path, error);
  }
}

/**
 * Makes a directory of this user alone; false when there is one.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function ensureDirectory(path: string): boolean {
  try {
    mkdir(path, 0o700);
    return true;
  } catch (error) {
    if (isSyscallError(error, Errno.EEXIST)) return false;
    throw unusable(path, error);
  }
}

/**
 * Removes a directory in which there are no more than these files, without reading it.
 *
 * @returns false when it is still there
 */
export function removeWith(path: string, names: readonly string[]): boolean {
  try {
    for (const name of names) removeFile(`${path}/${name}`);
    rmdir(path);
    return true;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

/**
 * Removes a directory and the files in it, `last` after the others; absent is fine. A directory in it with contents stays.
 *
 * @throws {SyscallError} ENOTDIR also for a symbolic link: what it leads to is not podnet's to delete
 */
export function removeDirectory(
  path: string,
  last: readonly string[] = [],
): void {
  try {
    const names = readDirectory(path, O_NOFOLLOW).map(({ name }) => name);
    for (const name of names) {
      if (!last.includes(name)) removeEntry(`${path}/${name}`);
    }
    for (const name of last) {
      if (names.includes(name)) removeFile(`${path}/${name}`);
    }
    rmdir(path);
  } catch (error) {
    // Somebody may be setting the node up anew at this moment.
    if (!isSyscallError(error, Errno.ENOENT, Errno.ENOTEMPTY)) throw error;
  }
}

/** Never recursive: what somebody put into a directory, or mounted there, is not podnet's to delete. */
function removeEntry(path: string): void {
  try {
    removeFile(path);
  } catch (error) {
    if (!isSyscallError(error, Errno.EISDIR)) throw error;
    removeIfEmpty(path);
  }
}

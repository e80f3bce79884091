/**
 * The state directory of a lab, and of labs whose process was killed before it could clean up.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import {
  fstat,
  makeTempDirectory,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  open,
  readDirectory,
  rmdir,
  unlink,
} from "../../ffi/file.ts";
import { tryLock } from "../../ffi/file_lock.ts";
import { unmount } from "../../ffi/mount.ts";
import { geteuid } from "../../ffi/process.ts";

const PARENT = "/tmp";
const PREFIX = "podnet-lab-";

/** A directory that lives as long as its lab: locked, so that others see that somebody is there. */
export class LabDirectory implements Disposable {
  /** Absolute path. */
  readonly path: string;
  readonly #lock: OwnedFd;

  private constructor(path: string, lock: OwnedFd) {
    this.path = path;
    this.#lock = lock;
  }

  /** Makes one, and removes those whose lab is dead. */
  static create(): LabDirectory {
    for (const { name, kind } of readDirectory(PARENT)) {
      if (kind === "directory" && name.startsWith(PREFIX)) {
        removeIfDead(`${PARENT}/${name}`);
      }
    }
    const path = makeTempDirectory(`${PARENT}/${PREFIX}`);
    const lock = lockDirectory(path);
    if (lock === undefined) throw new TypeError(`${path} is locked already`);
    return new LabDirectory(path, lock);
  }

  /** Removes it with all that pods left in it. */
  [Symbol.dispose](): void {
    removeTree(this.path);
    this.#lock[Symbol.dispose]();
  }
}

function lockDirectory(path: string): OwnedFd | undefined {
  const directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (tryLock(directory, "exclusive")) return directory;
  directory[Symbol.dispose]();
  return undefined;
}

function removeIfDead(path: string): void {
  try {
    using lock = lockDirectory(path);
    // Another user could swap what is in a directory of his own while it is walked.
    if (lock !== undefined && fstat(lock).uid === geteuid()) removeTree(path);
  } catch (error) {
    // Another user's, or somebody else is removing it at this moment.
    if (
      !isSyscallError(
        error,
        Errno.EACCES,
        Errno.EPERM,
        Errno.ENOENT,
        Errno.ENOTEMPTY,
      )
    ) throw error;
  }
}

/** Removes a directory in which files and directories may be mounted on. */
function removeTree(path: string): void {
  for (const { name, kind } of readDirectory(path)) {
    const child = `${path}/${name}`;
    if (kind === "directory") removeTree(child);
    else unmounting(child, () => unlink(child));
  }
  unmounting(path, () => rmdir(path));
}

function unmounting(path: string, remove: () => void): void {
  for (;;) {
    try {
      return remove();
    } catch (error) {
      if (!isSyscallError(error, Errno.EBUSY)) throw error;
      unmount(path, { detach: true });
    }
  }
}

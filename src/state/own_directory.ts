/**
 * Directories that each belong to one process, among those of others: what a dead one left can be told by its lock.
 *
 * @module
 */
import {
  mkdir,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  open,
} from "../../ffi/file.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { tryLock } from "../../ffi/file_lock.ts";
import { SandboxError } from "../errors.ts";
import { directoriesIn, present } from "./directory.ts";
import { isStill } from "./lock.ts";
import { ensurePrivateDirectory, removeIfEmpty, unusable } from "./store.ts";

/** How often others may take away what is not locked yet. */
const ATTEMPTS = 10;

/** A directory that is locked until this is disposed, or its process dies. */
export class OwnDirectory implements Disposable {
  readonly path: string;
  readonly #lock: OwnedFd;

  private constructor(path: string, lock: OwnedFd) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Makes one in `parent`, which is made as well when it is missing.
   *
   * @throws {SandboxError} `StateUnusable`
   */
  static make(parent: string): OwnDirectory {
    for (let attempt = 1;; attempt++) {
      ensurePrivateDirectory(parent);
      const name = crypto.getRandomValues(new Uint8Array(8)).toHex();
      const path = `${parent}/${name}`;
      try {
        mkdir(path, 0o700);
        const lock = lockAtOnce(path);
        if (lock !== undefined) return new OwnDirectory(path, lock);
      } catch (error) {
        removeIfEmpty(path);
        if (!isSyscallError(error, Errno.ENOENT)) throw unusable(path, error);
      }
      if (attempt === ATTEMPTS) {
        const reason = "is taken away again and again";
        throw new SandboxError("StateUnusable", { path: parent, reason });
      }
    }
  }

  /** Whether it is still at its path. */
  get isThere(): boolean {
    return isStill(this.path, this.#lock);
  }

  /** Unlocks it, wherever it is by now. */
  unlock(): void {
    this.#lock[Symbol.dispose]();
  }

  /** Unlocks it, and removes it if there is nothing in it. */
  [Symbol.dispose](): void {
    removeIfEmpty(this.path);
    this.unlock();
  }
}

/**
 * Those in `parent` whose process is dead, each locked while `look` looks at it.
 *
 * @param isAll also those of the living, whom the caller keeps from using them
 * @throws {SyscallError}
 */
export function eachAbandoned(
  parent: string,
  look: (path: string) => void,
  isAll = false,
): void {
  for (const name of directoriesIn(parent)) {
    const path = `${parent}/${name}`;
    using lock = lockAtOnce(path);
    // Its owner may take it away in this moment.
    if (lock !== undefined || isAll && present(path)) look(path);
  }
}

/** Undefined when somebody else has it, or it is gone. */
function lockAtOnce(path: string): OwnedFd | undefined {
  let file: OwnedFd;
  try {
    file = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return undefined;
    throw error;
  }
  let isHeld = false;
  try {
    isHeld = tryLock(file, "exclusive") && isStill(path, file);
    return isHeld ? file : undefined;
  } finally {
    if (!isHeld) file[Symbol.dispose]();
  }
}

/**
 * The lock of a sandbox that may be new.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/fd.ts";
import { isEmptyDirectory } from "../../../ffi/file.ts";
import { keepShape } from "../../shape.ts";
import { ensureDirectory } from "../../state/directory.ts";
import {
  acquireLock,
  type LockOptions,
  tryAcquireLock,
} from "../../state/lock.ts";
import { removeIfEmpty } from "../../state/store.ts";

/** Held until it is disposed. */
export class NewSandboxLock implements Disposable {
  /** Whether its directory was made for the lock: nothing is left of the sandbox then. */
  readonly isNew: boolean;
  /** Which is what is locked. */
  readonly directory: OwnedFd;

  /** Takes over an open directory that is locked. */
  constructor(isNew: boolean, directory: OwnedFd) {
    this.isNew = isNew;
    this.directory = directory;
  }

  /** Unlocks. */
  [Symbol.dispose](): void {
    this.directory[Symbol.dispose]();
  }
}

keepShape(new NewSandboxLock(true, undefined as never));

/** Makes the directory of a sandbox and locks it; undefined when there is one, or somebody else was faster to lock it. */
export function tryLockNewSandbox(
  directory: string,
): NewSandboxLock | undefined {
  if (!ensureDirectory(directory)) return undefined;
  try {
    const lock = tryAcquireLock(directory, "exclusive");
    return lock && lockOf(true, lock);
  } catch (error) {
    removeIfEmpty(directory);
    throw error;
  }
}

/** Locks the directory of a sandbox, making it if need be. */
export async function lockNewSandbox(
  directory: string,
  options?: LockOptions,
): Promise<NewSandboxLock> {
  for (;;) {
    const made = ensureDirectory(directory);
    try {
      const lock = await acquireLock(directory, "exclusive", options);
      if (lock !== undefined) return lockOf(made, lock);
    } catch (error) {
      if (made) removeIfEmpty(directory);
      throw error;
    }
  }
}

function lockOf(made: boolean, lock: OwnedFd): NewSandboxLock {
  try {
    // Whoever was faster to lock it may have put something into it.
    return new NewSandboxLock(made && isEmptyDirectory(lock), lock);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

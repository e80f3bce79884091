/**
 * Files of the sandboxes that were changed last, kept open.
 *
 * @module
 */
import { SyscallError } from "../../../ffi/errno.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import { fstat } from "../../../ffi/file.ts";
import { tryLock } from "../../../ffi/file_lock.ts";
import { keepShape } from "../../shape.ts";
import { unlockOrClose } from "../../state/shared_lock.ts";

/** Two descriptors each. */
const MAX_OPEN = 32;

/** What is open of a sandbox. */
class Files implements Disposable {
  /** The record, to be added to. */
  readonly record: OwnedFd;
  /** Its directory, which is the sandbox's lock. */
  lock?: OwnedFd;
  /** Whether this process has it locked by that descriptor: the kernel would not refuse a second one. */
  isLent = false;
  /** Whether somebody else closes it. */
  isTaken = false;

  constructor(record: OwnedFd) {
    this.record = record;
  }

  [Symbol.dispose](): void {
    using _lock = this.lock;
    this.record[Symbol.dispose]();
  }
}

keepShape(new Files(undefined as never));

/** A sandbox that is locked by what is open of it. */
export interface LockedFiles {
  /** Its directory, which is what is locked. */
  readonly directory: OwnedFd;
  /** Gives the lock back. */
  readonly unlock: () => void;
}

/**
 * A change of a sandbox that this process has changed before needs five system calls for lock and record instead of eight, none
 * of them with a path: 15 µs less.
 *
 * As long as an open record is what it was, by its number, length, change time and links, it is still in its directory, and
 * that is the sandbox's: files are replaced, renamed or unlinked here, and all of these change it.
 */
export class OpenRecords {
  readonly #files = new Map<string, Files>();
  #isKept = false;

  /** Keeps files open until what it returns is disposed; none are before. */
  keep(): Disposable {
    this.#isKept = true;
    return {
      [Symbol.dispose]: () => {
        this.#isKept = false;
        for (const id of this.#files.keys()) this.close(id);
      },
    };
  }

  /** Whether files are kept open. */
  get isKept(): boolean {
    return this.#isKept;
  }

  /** The record of a sandbox, opened to be added to. */
  record(id: string): OwnedFd | undefined {
    return this.#files.get(id)?.record;
  }

  /** Keeps a record that was opened. */
  add(id: string, record: OwnedFd): void {
    this.close(id);
    if (this.#files.size >= MAX_OPEN) this.#closeOldest();
    this.#files.set(id, new Files(record));
  }

  /**
   * Locks a sandbox by what is open.
   *
   * @param version that its record must have
   * @returns undefined when nothing is open, somebody else has it, or there is another record by now
   */
  tryLock(id: string, version: string): LockedFiles | undefined {
    const files = this.#files.get(id);
    const lock = files?.lock;
    if (files === undefined || lock === undefined || files.isLent) {
      return undefined;
    }
    try {
      if (!tryLock(lock, "exclusive")) return undefined;
      const status = fstat(files.record);
      if (status.nlink > 0 && status.version === version) {
        files.isLent = true;
        const unlock = () => this.#giveBack(id, files, lock);
        return { directory: lock, unlock };
      }
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
    }
    this.close(id);
    return undefined;
  }

  /** Gives a lock back that was taken in another way, and keeps its descriptor for the next time if the record is open. */
  release(id: string, lock: OwnedFd): void {
    const files = this.#files.get(id);
    if (!this.#isKept || files === undefined || files.lock !== undefined) {
      lock[Symbol.dispose]();
      return;
    }
    unlockOrClose(lock);
    if (lock.closed) this.close(id);
    else files.lock = lock;
  }

  /** Closes what is open of a sandbox, its lock when it is given back. */
  close(id: string): void {
    const files = this.#files.get(id);
    if (files === undefined) return;
    this.#files.delete(id);
    using _lock = files.isLent ? undefined : files.lock;
    files.record[Symbol.dispose]();
  }

  /**
   * What is open of a sandbox, locked as it is, for the caller to close: closing the last descriptor of a file that was
   * removed takes 10 µs.
   */
  take(id: string): Disposable | undefined {
    const files = this.#files.get(id);
    if (files === undefined) return undefined;
    this.#files.delete(id);
    files.isTaken = true;
    return files;
  }

  #giveBack(id: string, files: Files, lock: OwnedFd): void {
    if (files.isTaken) return;
    files.isLent = false;
    if (this.#files.get(id) !== files) lock[Symbol.dispose]();
    else {
      unlockOrClose(lock);
      if (lock.closed) this.close(id);
    }
  }

  #closeOldest(): void {
    for (const [id, { isLent }] of this.#files) {
      if (!isLent) return this.close(id);
    }
  }
}

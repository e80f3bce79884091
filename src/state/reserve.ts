/**
 * A file descriptor for when there are no more.
 *
 * @module
 */
import { O_RDONLY, open } from "../../ffi/file.ts";
import { SyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";

/**
 * A descriptor kept in reserve: undoing needs one, and what has failed may be that there was none. Kept from one operation
 * to the next, it costs nothing.
 */
export class Reserve implements Disposable {
  #held: OwnedFd | undefined;
  #isDisposed = false;

  /**
   * Sees to it that there is one, until this is disposed.
   *
   * @throws {SyscallError} EMFILE, ENFILE
   */
  fill(): void {
    if (!this.#isDisposed) this.#held ??= open("/", O_RDONLY);
  }

  /** Gives it up while `work` needs one. */
  lend<T>(work: () => T): T {
    this.#close();
    try {
      return work();
    } finally {
      orIgnore(() => this.fill());
    }
  }

  /** Closes it for good: what was begun before may come to its end afterwards. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#close();
  }

  #close(): void {
    this.#held?.[Symbol.dispose]();
    this.#held = undefined;
  }
}

/** Whoever needs one next finds out. */
function orIgnore(fill: () => void): void {
  try {
    fill();
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
}

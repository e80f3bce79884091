/**
 * Turns that processes take at something short.
 *
 * @module
 */
import { O_DIRECTORY, O_RDONLY, open } from "../../ffi/file.ts";
import { tryLock } from "../../ffi/file_lock.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { poll } from "../../ffi/poll.ts";
import { unlockOrClose } from "./shared_lock.ts";

/** What is done in a turn takes a tenth of this. */
const SPIN_MS = 1;
/** Whoever takes longer is stopped, or worse. */
const PATIENCE_MS = 20;

/**
 * A courtesy: what is done in turns is right without them, too, and only takes longer when others come between. So a turn is
 * waited for on the spot, and not for long.
 */
export class Turn implements Disposable {
  readonly #file: OwnedFd;

  private constructor(file: OwnedFd) {
    this.#file = file;
  }

  /**
   * Takes turns with everybody who names the same directory.
   *
   * @throws {SyscallError}
   */
  static open(directory: string): Turn {
    return new Turn(open(directory, O_RDONLY | O_DIRECTORY));
  }

  /**
   * Does `work` when nobody else is at it.
   *
   * @throws {SyscallError}
   */
  take<T>(work: () => T): T {
    if (this.#file.closed || !this.#wait()) return work();
    try {
      return work();
    } finally {
      unlockOrClose(this.#file);
    }
  }

  #wait(): boolean {
    const start = performance.now();
    for (;;) {
      if (tryLock(this.#file, "exclusive")) return true;
      const waited = performance.now() - start;
      if (waited > PATIENCE_MS) return false;
      if (waited > SPIN_MS) poll([], 1);
    }
  }

  /** Closes the directory. */
  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

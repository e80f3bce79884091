/**
 * A file descriptor for when there are no more.
 *
 * @module
 */
import { O_RDONLY, open } from "../../ffi/file.ts";
import type { OwnedFd } from "../../ffi/fd.ts";

/**
 * A descriptor kept in reserve: undoing needs one, and what has failed may be that there was none. Kept from one operation
 * to the next, it costs nothing.
 */
export class Reserve implements Disposable {
  #held: OwnedFd | undefined;

  /**
   * Sees to it that there is one.
   *
   * @throws {SyscallError} EMFILE, ENFILE
   */
  fill(): void {
    this.#held ??= open("/", O_RDONLY);
  }

  /** Gives it up, so that somebody else gets its number. */
  spend(): void {
    this.#held?.[Symbol.dispose]();
    this.#held = undefined;
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.spend();
  }
}

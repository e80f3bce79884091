/**
 * Owned file descriptors.
 * @module
 */
import { check, Errno } from "./errno.ts";
import { libc } from "./libc.ts";

/** Thrown for a descriptor that was closed: its number may be another file's by now. */
export class ClosedError extends TypeError {
  /** Makes the error. */
  constructor() {
    super("the file descriptor is closed");
  }
}

/**
 * A file descriptor with one owner, who closes it with `using`.
 *
 * Every descriptor that podnet opens is close-on-exec, so that no child process inherits it.
 *
 * @example
 * ```ts ignore
 * using file = open("/proc/self/status", O_RDONLY);
 * ```
 */
export class OwnedFd implements Disposable {
  #fd: number;

  /** Takes ownership of `fd`. */
  constructor(fd: number) {
    if (!Number.isInteger(fd) || fd < 0) {
      throw new RangeError(`${fd} is no file descriptor`);
    }
    this.#fd = fd;
  }

  /**
   * The number.
   *
   * @throws {TypeError} when closed: the number may be another file's by now
   */
  get fd(): number {
    if (this.#fd < 0) throw new ClosedError();
    return this.#fd;
  }

  /** Whether it is closed or released. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /** Gives up ownership: the caller closes the number from now on. */
  release(): number {
    const fd = this.fd;
    this.#fd = -1;
    return fd;
  }

  /**
   * Closes it; does nothing when closed already.
   *
   * @throws {SyscallError} if the kernel reports a write error that it had put off, or if someone else closed it
   */
  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    const c = libc();
    const result = c.close(fd);
    const errno = result < 0 ? c.errno[0] : 0;
    // Linux has freed the number by then: closing again would close what another thread has opened meanwhile.
    if (errno === Errno.EINTR) return;
    check("close", result, errno);
  }
}

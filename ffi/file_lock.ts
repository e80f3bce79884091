/**
 * Locks of open files.
 * @module
 */
import { check, Errno } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

/**
 * Locks an open file against other processes, without waiting (flock(2) with LOCK_NB).
 *
 * The lock belongs to the open file: it ends when the last descriptor of it is closed, also by a crash.
 *
 * @returns whether the lock was free
 * @throws {SyscallError}
 */
export function tryLock(fd: OwnedFd, mode: "shared" | "exclusive"): boolean {
  const operation = (mode === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB;
  const c = libc();
  for (;;) {
    const result = c.flock(fd.fd, operation);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno === Errno.EAGAIN) return false;
    if (errno !== Errno.EINTR) {
      check("flock", result, errno);
      return true;
    }
  }
}

/**
 * Gives up a lock of {@linkcode tryLock}, and keeps the file open (flock(2) with LOCK_UN).
 *
 * @throws {SyscallError}
 */
export function unlock(fd: OwnedFd): void {
  const c = libc();
  for (;;) {
    const result = c.flock(fd.fd, LOCK_UN);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) {
      check("flock", result, errno);
      return;
    }
  }
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

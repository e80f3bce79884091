/**
 * Locks between processes: flock(2) on a directory or file, which the kernel gives back when its holder dies.
 *
 * @module
 */
import {
  fstat,
  lstat,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  open,
  tryLock,
} from "../../ffi/file.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { SandboxError } from "../errors.ts";
import { unusable } from "./store.ts";

/** Longer than any operation of podnet takes; a holder that is stopped with SIGSTOP is the way to meet it. */
export const LOCK_TIMEOUT_MS = 30_000;

/**
 * Locks the existing file or directory `path`. Dispose the result to unlock.
 * The lock is on the object that bears the name when the call returns: one that was removed meanwhile is let go.
 *
 * @returns undefined when nothing bears the name
 * @throws {SandboxError} `Timeout` when others hold it for {@linkcode LOCK_TIMEOUT_MS}; `StateUnusable`
 */
export async function acquireLock(
  path: string,
  mode: "shared" | "exclusive",
): Promise<OwnedFd | undefined> {
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  let waitMs = 0.2;
  for (;;) {
    const file = openIfPresent(path);
    if (file === undefined) return undefined;
    let held = false;
    try {
      held = tryLock(file, mode) && isStill(path, file);
      if (held) return file;
    } finally {
      if (!held) file[Symbol.dispose]();
    }
    if (performance.now() > deadline) {
      throw new SandboxError("Timeout", {
        operation: `waiting for the lock on ${path}`,
        timeoutMs: LOCK_TIMEOUT_MS,
      });
    }
    // Jitter, so that waiters do not march in step.
    await new Promise((wake) =>
      setTimeout(wake, waitMs * (0.5 + Math.random()))
    );
    waitMs = Math.min(waitMs * 2, 20);
  }
}

function openIfPresent(path: string): OwnedFd | undefined {
  try {
    // O_NONBLOCK: a FIFO planted here must not hang us. O_NOFOLLOW: nor a link lead us away.
    return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return undefined;
    throw unusable(path, error);
  }
}

function isStill(path: string, file: OwnedFd): boolean {
  try {
    return lstat(path).ino === fstat(file).ino;
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return false;
    throw error;
  }
}

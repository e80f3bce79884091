/**
 * Locks between processes: flock(2) on a directory or file, which the kernel gives back when its holder dies.
 *
 * @module
 */
import {
  fstat,
  lstatOrNone,
  O_CREAT,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  open,
} from "../../ffi/file.ts";
import { tryLock } from "../../ffi/file_lock.ts";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { isSandboxError, SandboxError } from "../errors.ts";
import { describeHolders } from "./lock_holders.ts";
import { unusable } from "./store.ts";

/** Shared with others who share, or exclusive. */
export type LockMode = "shared" | "exclusive";

/** Options of {@linkcode acquireLock}. */
export interface LockOptions {
  /**
   * How long others may hold it, in milliseconds. The default is longer than any operation of podnet takes; a holder that
   * is stopped with SIGSTOP is the way to meet it.
   * @default 30_000
   */
  readonly timeoutMs?: number;
  /**
   * Whether the path still leads to what was opened and is locked by now.
   * @default by their inodes
   */
  readonly isStill?: (path: string, file: OwnedFd) => boolean;
  /**
   * How it is opened besides, such as `O_DIRECTORY`.
   * @default 0
   */
  readonly flags?: number;
}

const LOCK_TIMEOUT_MS = 30_000;

/**
 * Locks the existing file or directory `path`. Dispose the result to unlock.
 * The lock is on the object that bears the name when the call returns: one that was removed meanwhile is let go.
 *
 * The event loop runs while it waits.
 *
 * @returns undefined when nothing bears the name
 * @throws {SandboxError} `Timeout`, which names the holder if it can be seen; `StateUnusable`
 */
export async function acquireLock(
  path: string,
  mode: LockMode,
  { timeoutMs = LOCK_TIMEOUT_MS, isStill: isSame = isStill, flags = 0 }:
    LockOptions = {},
): Promise<OwnedFd | undefined> {
  let deadline: number | undefined;
  let waitMs = 0.2;
  for (;;) {
    const file = openIfPresent(path, flags);
    if (file === undefined) return undefined;
    let held = false;
    try {
      held = tryLock(file, mode) && isSame(path, file);
      if (held) return file;
      // Mostly it is free, and to ask the clock takes 3 µs.
      const now = performance.now();
      deadline ??= now + timeoutMs;
      if (now >= deadline) throw timeout(path, file, timeoutMs);
    } finally {
      if (!held) file[Symbol.dispose]();
    }
    // Jitter, so that waiters do not march in step.
    await new Promise((wake) =>
      setTimeout(wake, waitMs * (0.5 + Math.random()))
    );
    waitMs = Math.min(waitMs * 2, 20);
  }
}

/**
 * Makes the file of a lock, or opens the one that there is; neither locks it.
 *
 * @throws {SandboxError} `StateUnusable` when it is no plain file
 */
export function makeLock(path: string): OwnedFd {
  try {
    using opened = new DisposableStack();
    // O_NONBLOCK: opening a FIFO would wait for its writer.
    const flags = O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
    const lock = opened.use(open(path, flags, 0o600));
    const { kind } = fstat(lock);
    if (kind !== "file") {
      const reason = `is a ${kind}, not a file`;
      throw new SandboxError("StateUnusable", { path, reason });
    }
    opened.move();
    return lock;
  } catch (error) {
    throw unusable(path, error);
  }
}

/** How long those who share let one pass that wants the lock alone: longer than one operation of podnet takes. */
const COURTESY_MS = 1000;

/**
 * {@linkcode acquireLock} for a lock that many share all the time. The kernel gives a shared lock to everybody while
 * somebody shares it, so who wants it alone would never have it. Therefore all pass a gate, which that one keeps shut
 * while it waits.
 *
 * @param gate another lock, which is held for no longer than the acquiring takes
 */
export async function acquireFairLock(
  path: string,
  gate: string,
  mode: LockMode,
  options?: LockOptions,
): Promise<OwnedFd | undefined> {
  using _gate = mode === "exclusive"
    ? await acquireLock(gate, mode, options)
    : await passGate(gate);
  return await acquireLock(path, mode, options);
}

/**
 * Undefined after a while: whoever waits for the lock may be stopped, or wait for a lock that the caller shares already.
 */
async function passGate(gate: string): Promise<OwnedFd | undefined> {
  try {
    return await acquireLock(gate, "shared", { timeoutMs: COURTESY_MS });
  } catch (error) {
    if (isSandboxError(error, "Timeout")) return undefined;
    throw error;
  }
}

function timeout(
  path: string,
  file: OwnedFd,
  timeoutMs: number,
): SandboxError {
  const holder = describeHolders(file);
  return new SandboxError("Timeout", {
    operation: `waiting for the lock on ${path}`,
    timeoutMs,
    ...(holder === undefined ? {} : { holder }),
  });
}

/** Locks what bears the name, if that needs no waiting. */
export function tryAcquireLock(
  path: string,
  mode: LockMode,
): OwnedFd | undefined {
  const file = openIfPresent(path);
  if (file === undefined) return undefined;
  let held = false;
  try {
    held = tryLock(file, mode) && isStill(path, file);
    return held ? file : undefined;
  } finally {
    if (!held) file[Symbol.dispose]();
  }
}

function openIfPresent(path: string, flags = 0): OwnedFd | undefined {
  try {
    // O_NONBLOCK: a FIFO planted here must not hang us. O_NOFOLLOW: nor a link lead us away.
    return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | flags);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return undefined;
    throw unusable(path, error);
  }
}

/** Whether the path still leads to the open file. */
export function isStill(path: string, file: OwnedFd): boolean {
  return lstatOrNone(path)?.ino === fstat(file).ino;
}

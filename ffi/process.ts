/**
 * The process and its threads.
 * @module
 */
import { fromCString, utf8 } from "./buffer.ts";
import { check, Errno } from "./errno.ts";
import { readTextFile } from "./file.ts";
import { libc } from "./libc.ts";

/** User that the process acts as, 0 for root. */
export function geteuid(): number {
  return libc().geteuid();
}

/** The process group that this process, and what it starts, belongs to. */
export function processGroup(): number {
  return libc().getpgrp();
}

/**
 * Ends another process, by SIGKILL. One that has ended is no error.
 *
 * @throws {SyscallError} EPERM
 */
export function killProcess(pid: number): void {
  const c = libc();
  const result = c.kill(pid, SIGKILL);
  const errno = c.errno[0];
  if (result < 0 && errno !== Errno.ESRCH) check("kill", result, errno);
}

const SIGKILL = 9;

/**
 * The host name of the process's UTS namespace (proc_sys_kernel(5)).
 *
 * @throws {SyscallError}
 */
export function hostName(): string {
  return readTextFile("/proc/sys/kernel/hostname").trimEnd();
}

/**
 * Milliseconds since the machine was started, times of sleep included (clock_gettime(2) with CLOCK_BOOTTIME): goes on when
 * nobody looks, whatever the calendar is set to. Needs no descriptor, so that who keeps a lease need not fear to ask.
 */
export function uptimeMs(): number {
  const c = libc();
  check("clock_gettime", c.clock_gettime(CLOCK_BOOTTIME, TIME), c.errno[0]);
  return Number(TIME[0]) * 1000 + Number(TIME[1]) / 1e6;
}

// linux/time.h
const CLOCK_BOOTTIME = 7;
/** struct timespec: seconds and nanoseconds. */
const TIME = new BigInt64Array(2);

/** The C library and its version: `"glibc 2.36"` (confstr(3)). */
export function libcVersion(): string {
  const text = new Uint8Array(LIBC_VERSION_MAX);
  libc().confstr(_CS_GNU_LIBC_VERSION, text, BigInt(text.length));
  return fromCString(text);
}

// bits/confname.h
const _CS_GNU_LIBC_VERSION = 2;
const LIBC_VERSION_MAX = 64;

/**
 * Writes a line to standard error and ends the process at once, running nothing: no `finally`, no `unload` listener.
 *
 * For a process that would do harm by going on.
 */
export function exitNow(code: number, message: string): never {
  const line = utf8(`${message}\n`);
  libc().write(2, line, BigInt(line.length));
  libc()._exit(code);
  // Not reached: _exit(2) does not return.
  throw new TypeError("_exit returned");
}

/**
 * Makes room for `count` descriptors in the process's table.
 *
 * The table grows at 64, 256, 512 … descriptors, and in a process with several threads each growth waits for an RCU
 * grace period, 10–20 ms (`expand_fdtable` in fs/file.c). Growing it once, on another thread, keeps that out of later calls.
 * Does less, without failing, when the limit on open files is lower.
 */
export async function growDescriptorTable(count: number): Promise<void> {
  for (let size = count; size > 64; size >>>= 1) {
    // Any open descriptor would do; 2 is open in nearly every process, and when it is not there is nothing to lose.
    const fd = await libc().fcntlOnPool(2, F_DUPFD_CLOEXEC, size - 1);
    if (fd >= 0) {
      libc().close(fd);
      return;
    }
  }
}

const F_DUPFD_CLOEXEC = 1030;

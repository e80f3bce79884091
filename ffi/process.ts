/**
 * The process and its threads.
 * @module
 */
import { fromCString, utf8 } from "./buffer.ts";
import { check } from "./errno.ts";
import { libc, rareLibc } from "./libc.ts";

/** User that the process acts as, 0 for root. */
export function geteuid(): number {
  return libc().geteuid();
}

/**
 * The host name of the process's UTS namespace (gethostname(2)).
 *
 * @throws {SyscallError}
 */
export function hostName(): string {
  const name = new Uint8Array(HOST_NAME_MAX + 1);
  const c = libc();
  check(
    "gethostname",
    rareLibc().gethostname(name, BigInt(name.length)),
    c.errno[0],
  );
  return fromCString(name);
}

const HOST_NAME_MAX = 64;

/** The C library and its version: `"glibc 2.36"` (confstr(3)). */
export function libcVersion(): string {
  const text = new Uint8Array(LIBC_VERSION_MAX);
  rareLibc().confstr(_CS_GNU_LIBC_VERSION, text, BigInt(text.length));
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
  rareLibc()._exit(code);
  // Not reached: _exit(2) does not return.
  throw new TypeError("_exit returned");
}

/**
 * Makes room for `count` descriptors in the process's table.
 *
 * The table grows at 64, 256, 512 … descriptors, and in a process with several threads each growth waits for an RCU
 * grace period, some 10 ms (`expand_fdtable` in fs/file.c). Growing it once keeps that out of later calls. Does less,
 * without failing, when the limit on open files is lower.
 */
export function growDescriptorTable(count: number): void {
  const c = libc();
  for (let size = count; size > 64; size >>>= 1) {
    // Any open descriptor would do; 2 is open in nearly every process, and when it is not there is nothing to lose.
    const fd = c.fcntl(2, F_DUPFD_CLOEXEC, size - 1);
    if (fd >= 0) {
      c.close(fd);
      return;
    }
  }
}

const F_DUPFD_CLOEXEC = 1030;

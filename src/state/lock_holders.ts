/**
 * Who holds a lock, for people: the kernel lists all locks that processes of this PID namespace have.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/fd.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { fstat, readTextFile } from "../../ffi/file.ts";

/**
 * The processes that have the file locked with flock(2), such as `process 1234 (deno), which is stopped`, by
 * `/proc/locks` (proc_locks(5)). Undefined when none can be seen: it is in another PID namespace, or the file system
 * hides its device.
 */
export function describeHolders(file: OwnedFd): string | undefined {
  const { dev, ino } = fstat(file);
  const hex = (number: bigint) => number.toString(16).padStart(2, "0");
  const object = `${hex(dev >> 32n)}:${hex(dev & 0xffff_ffffn)}:${ino}`;
  try {
    const holders = readTextFile("/proc/locks").split("\n").flatMap((line) => {
      // "1: FLOCK  ADVISORY  WRITE 1234 00:1b:567 0 EOF"; of a waiter, "->" follows the number.
      const [, type, , , pid, where] = line.split(/\s+/);
      return type === "FLOCK" && where === object && pid !== undefined
        ? [describeProcess(pid)]
        : [];
    });
    // A process may share it several times.
    return [...new Set(holders)].join(" and ") || undefined;
  } catch (error) {
    if (error instanceof SyscallError) return undefined; // no /proc
    throw error;
  }
}

function describeProcess(pid: string): string {
  try {
    // "1234 (deno) T …": T for stopped by a signal, t for stopped by a debugger (proc_pid_stat(5)).
    const status = readTextFile(`/proc/${pid}/stat`);
    const [, name, state] = /^\d+ \((.*)\) (\S)/s.exec(status) ?? [];
    return `process ${pid} (${name})${
      state === "T" || state === "t" ? ", which is stopped" : ""
    }`;
  } catch (error) {
    if (error instanceof SyscallError) return `process ${pid}`;
    throw error;
  }
}

/**
 * What is still at work for an attachment although nobody waits for it: a plugin whose runtime was killed, or what a killed
 * plugin had started.
 * @module
 */

import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { readDirectory, readLink, readTextFile } from "../../../ffi/file.ts";
import { killProcess } from "../../../ffi/process.ts";
import type { ContainerInterface } from "./command.ts";

/** What tells the processes that plugins work with from all others. */
export interface Workers
  extends Pick<ContainerInterface, "containerId" | "ifName"> {
  /** The process group of who ran the plugins. What left it does so to go on, as a daemon does. */
  readonly group: number;
}

/** How long they may take, in milliseconds: who is killed ends at once, unless the kernel is busy for it. */
export const END_TIMEOUT_MS = 5000;
const STEP_MS = 5;

/**
 * Ends them, and waits until they have ended. They are found by their environment, by looking at all processes.
 *
 * @returns false when some did not
 * @throws {SyscallError} EPERM when one is somebody else's by now
 */
export async function endWorkers(workers: Workers): Promise<boolean> {
  const deadline = performance.now() + END_TIMEOUT_MS;
  for (;;) {
    const found = find(workers);
    if (found.length === 0) return true;
    if (performance.now() > deadline) return false;
    for (const pid of found) killProcess(pid);
    await new Promise((wake) => setTimeout(wake, STEP_MS));
  }
}

function find({ containerId, ifName, group }: Workers): number[] {
  const self = readLink("/proc/self");
  const marks = [`CNI_CONTAINERID=${containerId}`, `CNI_IFNAME=${ifName}`];
  return readDirectory("/proc").map(({ name }) => name).filter((name) => {
    if (!/^\d+$/.test(name) || name === self) return false;
    if (groupOf(read(name, "stat")) !== group) return false;
    const environment = read(name, "environ").split("\0");
    return marks.every((mark) => environment.includes(mark));
  }).map(Number);
}

/** The third field after the name, which is in brackets and may have any in it (proc_pid_stat(5)). */
function groupOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")")).split(" ")[3]);
}

/** Empty of one that has ended, or is another user's. */
function read(pid: string, file: string): string {
  try {
    return readTextFile(`/proc/${pid}/${file}`);
  } catch (error) {
    if (
      isSyscallError(
        error,
        Errno.ENOENT,
        Errno.ESRCH,
        Errno.EACCES,
        Errno.EPERM,
      )
    ) return "";
    throw error;
  }
}

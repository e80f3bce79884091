/**
 * Sockets by which a runtime keeps host ports for a container: podman's conmon has one for each while the container lives,
 * also when a network of it is taken away and added again.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { readDirectory, readLink, readTextFile } from "../../../ffi/file.ts";
import type { WaitingSocket } from "../../spec/node_options.ts";

/** Tells the sockets of processes that have the container's id among their arguments from others. */
export function isKeptFor(
  containerID: string,
): (socket: WaitingSocket) => boolean {
  return ({ inode }) => socketsFor(containerID).includes(`socket:[${inode}]`);
}

function socketsFor(containerID: string): string[] {
  return listOrNone("/proc").filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => argumentsOf(pid).includes(containerID))
    .flatMap((pid) =>
      listOrNone(`/proc/${pid}/fd`).map((fd) =>
        unlessGone(() => readLink(`/proc/${pid}/fd/${fd}`)) ?? ""
      )
    );
}

function argumentsOf(pid: string): string[] {
  return (unlessGone(() => readTextFile(`/proc/${pid}/cmdline`)) ?? "")
    .split("\0");
}

function listOrNone(path: string): string[] {
  return (unlessGone(() => readDirectory(path)) ?? []).map(({ name }) => name);
}

/** Undefined when the process has ended, or is another user's. */
function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    const { ENOENT, ESRCH, EACCES, EPERM } = Errno;
    if (isSyscallError(error, ENOENT, ESRCH, EACCES, EPERM)) return undefined;
    throw error;
  }
}

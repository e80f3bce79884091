/**
 * Sockets by which a runtime keeps host ports for a container: podman's conmon has one for each while the container lives,
 * also when a network of it is taken away and added again.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { readDirectory, readLink, readTextFile } from "../../ffi/file.ts";

/**
 * Tells the sockets of processes that have a container's id among their arguments from others; these are looked for once, when
 * the first one is asked of.
 */
export function isKeptFor(
  containerIDs: ReadonlySet<string>,
): (socket: { readonly inode: number }) => boolean {
  let kept: Map<number, string> | undefined;
  return ({ inode }) => (kept ??= keptSockets(containerIDs)).has(inode);
}

/** The container for which a socket is kept, by the socket's inode; reads all processes once. */
export function keptSockets(
  containerIDs: ReadonlySet<string>,
): Map<number, string> {
  const kept = new Map<number, string>();
  for (const pid of listOrNone("/proc").filter((name) => /^\d+$/.test(name))) {
    const containerID = argumentsOf(pid).find((word) => containerIDs.has(word));
    if (containerID === undefined) continue;
    for (const fd of listOrNone(`/proc/${pid}/fd`)) {
      const target = unlessGone(() => readLink(`/proc/${pid}/fd/${fd}`));
      const inode = /^socket:\[(\d+)\]$/.exec(target ?? "")?.[1];
      if (inode !== undefined) kept.set(Number(inode), containerID);
    }
  }
  return kept;
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

/**
 * Pins: files on which a namespace is mounted, so that it lives without a process.
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import {
  lstat,
  lstatOrNone,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  open,
  readLink,
  readTextFile,
  unlink,
} from "../../ffi/file.ts";
import { lstatAt } from "../../ffi/file_at.ts";
import type { FileStatus } from "../../ffi/file_status.ts";
import { bindMount, makeShared, unmount } from "../../ffi/mount.ts";
import { isNetworkNamespace } from "../../ffi/namespace.ts";
import { poll } from "../../ffi/poll.ts";
import { SandboxError } from "../errors.ts";

/**
 * Makes `directory` a mount point whose mounts and unmounts reach other mount namespaces, as `ip netns add` does for
 * `/run/netns` (iproute2 ip/ipnetns.c); does nothing when it is one.
 *
 * Without it, a container started while a pin below `directory` existed would keep a copy of the pin, and with it the
 * namespace, after {@linkcode unpin}.
 *
 * Two at the same time would mount it twice: the caller sees to it that nobody else does so, or pins below, meanwhile.
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function shareMounts(directory: string): void {
  if (makeMountShared(directory)) return;
  // Leads below the new mount, which hides it from paths.
  using hidden = open(directory, O_RDONLY | O_DIRECTORY);
  const pins = pinsBelow(readLink(`/proc/self/fd/${hidden.fd}`));
  bindMount(directory, directory);
  makeShared(directory);
  for (const pin of pins) {
    try {
      unmount(`/proc/self/fd/${hidden.fd}/${pin}`, { detach: true });
    } catch (error) {
      // Of a sandbox that is removed it may go meanwhile.
      if (!isSyscallError(error, Errno.EINVAL, Errno.ENOENT)) throw error;
    }
  }
}

/**
 * Shares the mount at `directory` again, should somebody have made it private, at the cost of one system call.
 *
 * @returns whether `directory` is a mount point, and so shared now
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function makeMountShared(directory: string): boolean {
  try {
    makeShared(directory);
    return true;
  } catch (error) {
    if (isSyscallError(error, Errno.EINVAL)) return false;
    throw error;
  }
}

/**
 * How the mount at `directory` propagates; undefined when it is no mount point. Only looks, and reads the list of all mounts
 * to do so.
 *
 * @throws {SyscallError} ENOENT
 */
export function mountPropagation(
  directory: string,
): "shared" | "private" | undefined {
  using inside = open(directory, O_RDONLY | O_DIRECTORY);
  using outside = open(`${directory}/..`, O_RDONLY | O_DIRECTORY);
  const id = mountId(inside);
  if (id === mountId(outside)) return undefined;
  const isShared = mountTable().some((fields) =>
    fields[0] === id && isSharedMount(fields)
  );
  return isShared ? "shared" : "private";
}

/** Number of the mount that a file was opened on, as in mountinfo (proc_pid_fdinfo(5)). */
function mountId({ fd }: OwnedFd): string | undefined {
  return /^mnt_id:\s*(\d+)$/m.exec(readTextFile(`/proc/self/fdinfo/${fd}`))
    ?.[1];
}

/** Lines of proc_pid_mountinfo(5), in fields. */
function mountTable(): string[][] {
  return readTextFile("/proc/thread-self/mountinfo").split("\n")
    .map((line) => line.split(" "));
}

function isSharedMount(fields: readonly string[]): boolean {
  return fields.some((field) => /^shared:/.test(field));
}

/**
 * Pins that were made while somebody had unmounted the directory, relative to it. Mounting it again takes copies of them
 * along, and the originals would keep their files from ever being removed (EBUSY); but below a shared mount an original
 * goes with its copy.
 */
function pinsBelow(directory: string): string[] {
  const mounts = mountTable();
  const shared = new Set(mounts.filter(isSharedMount).map(([id]) => id));
  return mounts.flatMap(([, parent, , , point = "", ...rest]) =>
    rest[rest.indexOf("-") + 1] === "nsfs" && !shared.has(parent) &&
      point.startsWith(`${directory}/`)
      ? [point.slice(directory.length + 1)]
      : []
  );
}

/**
 * Ends what {@linkcode shareMounts} began, with all that is mounted below; does nothing when it has ended already.
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function unshareMounts(directory: string): void {
  for (;;) {
    try {
      unmount(directory, { detach: true });
    } catch (error) {
      if (isSyscallError(error, Errno.EINVAL, Errno.ENOENT)) return;
      throw error;
    }
  }
}

/**
 * Creates the file `path` and mounts the namespace `fd` on it.
 *
 * @throws {SyscallError} EEXIST if there is a file already; EPERM without CAP_SYS_ADMIN
 */
export function pin(fd: number, path: string): void {
  const file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o400);
  try {
    // Through its descriptor, so that it is this very file, whatever other processes do at the path.
    bindMount(`/proc/self/fd/${fd}`, `/proc/self/fd/${file.fd}`);
  } catch (error) {
    try {
      unlink(path);
    } catch (failure) {
      // The first error is the one to know; what stays is for unpin().
      if (!(failure instanceof SyscallError)) throw failure;
    }
    throw error;
  } finally {
    file[Symbol.dispose]();
  }
}

/** How often something is unmounted, or another process mounts or unmounts here, while a pin is being removed. */
const UNPIN_TRIES = 50;

/**
 * Unmounts every namespace that is mounted on `path`, and removes the file; does nothing if there is none.
 *
 * @param id of the namespace that is expected there: when it is, that is all that has to be looked at
 * @throws {SandboxError} InvalidNamespace if something else than a pin is there, which is left alone
 * @throws {SyscallError} EBUSY if something keeps mounting there; EPERM without CAP_SYS_ADMIN
 */
export function unpin(path: string, id?: string): void {
  if (id !== undefined && unpinKnown(path, id)) return;
  for (let tries = 1;; tries++) {
    try {
      if (isMountedNamespace(path) && tries < UNPIN_TRIES) {
        unmount(path, { detach: true });
        continue;
      }
      unlink(path); // EBUSY while something is mounted
      return;
    } catch (error) {
      if (isSyscallError(error, Errno.ENOENT)) return;
      // Another process unmounts (EINVAL) or mounts (EBUSY) at the same moment.
      if (
        !isSyscallError(error, Errno.EINVAL, Errno.EBUSY) ||
        tries >= UNPIN_TRIES
      ) {
        throw error;
      }
      poll([], 1);
    }
  }
}

/**
 * Unpins the namespace `id` if it is what is to be seen at the path: a namespace's number is that of its inode. Saves 20 µs
 * a pod.
 *
 * @returns whether that was all
 */
function unpinKnown(path: string, id: string): boolean {
  return isPinOf(path, id) && unpinChecked(path);
}

/**
 * Unpins what was found to be a pin.
 *
 * @returns whether that was all
 */
export function unpinChecked(path: string): boolean {
  try {
    unmount(path, { detach: true });
    unlink(path);
    return true;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

/**
 * Whether the namespace `id` is what is to be seen at the path.
 *
 * @throws {SyscallError}
 */
export function isPinOf(path: string, id: string): boolean {
  return isNamespace(lstatOrNone(path), id);
}

/** As {@linkcode isPinOf}, of a name in an open directory. */
export function isPinAt(directory: OwnedFd, name: string, id: string): boolean {
  return isNamespace(lstatAt(directory, name), id);
}

function isNamespace(found: FileStatus | undefined, id: string): boolean {
  return found?.kind === "file" && `net:[${found.ino}]` === id;
}

/** Whether a network namespace is mounted on the file; if not, the file is the empty one that pins are made of. */
function isMountedNamespace(path: string): boolean {
  const { kind, size } = lstat(path);
  if (kind === "file") {
    using fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (isNetworkNamespace(fd)) return true;
  }
  if (kind !== "file" || size !== 0) {
    throw new SandboxError("InvalidNamespace", {
      path,
      reason: "something else than a pin is there",
    });
  }
  return false;
}

/**
 * Pins: files on which a namespace is mounted, so that it lives without a process.
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import {
  lstat,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  open,
  tryLock,
  unlink,
} from "../../ffi/file.ts";
import { bindMount, makeShared, unmount } from "../../ffi/mount.ts";
import { isNetworkNamespace } from "../../ffi/namespace.ts";
import { poll } from "../../ffi/socket.ts";
import { SandboxError } from "../errors.ts";

/**
 * Makes `directory` a mount point whose mounts and unmounts reach other mount namespaces, as `ip netns add` does for
 * `/run/netns` (iproute2 ip/ipnetns.c); does nothing when it is one.
 *
 * Without it, a container started while a pin below `directory` existed would keep a copy of the pin, and with it the
 * namespace, after {@linkcode unpin}.
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function shareMounts(directory: string): void {
  if (tryMakeShared(directory)) return;
  // Two processes that both mount it on itself would double every later mount below it.
  using lock = open(directory, O_RDONLY | O_DIRECTORY);
  while (!tryLock(lock, "exclusive")) poll([], 1);
  if (tryMakeShared(directory)) return;
  bindMount(directory, directory);
  makeShared(directory);
}

/** Whether `directory` is a mount point, which is shared now. */
function tryMakeShared(directory: string): boolean {
  try {
    makeShared(directory);
    return true;
  } catch (error) {
    if (isSyscallError(error, Errno.EINVAL)) return false;
    throw error;
  }
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
  using file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o400);
  try {
    // Through its descriptor, so that it is this very file, whatever other processes do at the path.
    bindMount(`/proc/self/fd/${fd}`, `/proc/self/fd/${file.fd}`);
  } catch (error) {
    // Another process has removed the file already.
    if (!isSyscallError(error, Errno.ENOENT)) unlink(path);
    throw error;
  }
}

/** How often another process may mount or unmount here while a pin is being removed. */
const UNPIN_TRIES = 50;

/**
 * Unmounts every namespace that is mounted on `path`, and removes the file; does nothing if there is none.
 *
 * @throws {SandboxError} InvalidNamespace if something else than a pin is there, which is left alone
 * @throws {SyscallError} EBUSY if something keeps mounting there; EPERM without CAP_SYS_ADMIN
 */
export function unpin(path: string): void {
  for (let tries = 1;; tries++) {
    try {
      if (isMountedNamespace(path)) {
        unmount(path, { detach: true });
        continue;
      }
      unlink(path);
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

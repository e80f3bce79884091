/**
 * Network namespaces of the calling thread.
 *
 * These move one thread, the one that runs this isolate; other threads of the process stay where they are. Who calls
 * them has to bring the thread home before any other code runs.
 * @module
 */
import { check, SyscallError } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

const CLONE_NEWNET = 0x40000000;
// _IO(0xb7, 3), linux/nsfs.h
const NS_GET_NSTYPE = 0xb703n;

/**
 * Moves the calling thread into a new network namespace (unshare(2)).
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function unshareNetwork(): void {
  const c = libc();
  check("unshare", c.unshare(CLONE_NEWNET), c.errno[0]);
}

/**
 * Moves the calling thread into the network namespace `fd` (setns(2)).
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN; EINVAL when it is no network namespace
 */
export function setNetworkNamespace(fd: OwnedFd): void {
  const c = libc();
  check("setns", c.setns(fd.fd, CLONE_NEWNET), c.errno[0]);
}

/**
 * Whether an open file is a network namespace (ioctl_nsfs(2)): `false` also for any other file.
 *
 * Ask this of regular files only: a device may take the request for another one.
 */
export function isNetworkNamespace(fd: OwnedFd): boolean {
  const c = libc();
  return c.ioctl(fd.fd, NS_GET_NSTYPE, null) === CLONE_NEWNET;
}

/** Whether `error` is the kernel refusing for want of a capability. */
export function isPermissionError(error: unknown): error is SyscallError {
  return error instanceof SyscallError && error.code === "EPERM";
}

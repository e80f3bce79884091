/**
 * Mounts of the mount namespace that the process is in.
 * @module
 */
import { addressOf, cPath, cSecondPath, cString } from "./buffer.ts";
import { check } from "./errno.ts";
import { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

// linux/mount.h
const MS_BIND = 0x1000n;
const MS_REC = 0x4000n;
const MS_SHARED = 1n << 20n;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/**
 * Makes what is at `source`, with the mounts below it, appear at `target`, which has to exist (mount(2) with MS_BIND).
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function bindMount(source: string, target: string): void {
  mount(source, target, MS_BIND | MS_REC);
}

/**
 * Makes mounts and unmounts below the mount at `target` propagate to its peers (mount_namespaces(7)).
 *
 * @throws {SyscallError} EINVAL if `target` is not a mount point
 */
export function makeShared(target: string): void {
  mount("", target, MS_SHARED | MS_REC);
}

/** Options of {@linkcode unmount}. */
export interface UnmountOptions {
  /**
   * Take the mount out of the tree at once, and end it when its last user is gone.
   * @default false
   */
  readonly detach?: boolean;
}

/**
 * Removes the uppermost mount at `target`; does not follow a symbolic link there (umount(2)).
 *
 * @throws {SyscallError} EINVAL if `target` is not a mount point; EBUSY if it is in use and not to be detached
 */
export function unmount(target: string, options: UnmountOptions = {}): void {
  const flags = UMOUNT_NOFOLLOW | (options.detach === true ? MNT_DETACH : 0);
  const name = cPath(target);
  const c = libc();
  check("umount", c.umount2(name, flags), c.errno[0], target);
}

/**
 * Mounts a file system nowhere: the directory that is returned is its root, it shows what the thread's namespaces have when
 * this is called, and it ends when the directory is closed (fsopen(2), fsmount(2); Linux 5.2).
 *
 * @param type of the file system: `sysfs`
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function mountNowhere(type: string): OwnedFd {
  const name = cString(type);
  using context = new OwnedFd(
    call("fsopen", SYS_FSOPEN, addressOf(name), FSOPEN_CLOEXEC),
  );
  const fd = BigInt(context.fd);
  call("fsconfig", SYS_FSCONFIG, fd, FSCONFIG_CMD_CREATE);
  return new OwnedFd(call("fsmount", SYS_FSMOUNT, fd, FSMOUNT_CLOEXEC));
}

// asm-generic/unistd.h: the same on all architectures. glibc has functions for them since 2.36.
const SYS_FSOPEN = 430n;
const SYS_FSCONFIG = 431n;
const SYS_FSMOUNT = 432n;
const FSOPEN_CLOEXEC = 1n;
const FSCONFIG_CMD_CREATE = 6n;
const FSMOUNT_CLOEXEC = 1n;

function call(name: string, number: bigint, a: bigint, b: bigint): number {
  const c = libc();
  return check(name, c.syscall(number, a, b, null, null, 0n), c.errno[0]);
}

function mount(source: string, target: string, flags: bigint): void {
  const from = cPath(source);
  const to = cSecondPath(target);
  const c = libc();
  check("mount", c.mount(from, to, null, flags, null), c.errno[0], target);
}

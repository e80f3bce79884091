/**
 * Mounts of the mount namespace that the process is in.
 * @module
 */
import { cPath, cSecondPath } from "./buffer.ts";
import { check } from "./errno.ts";
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

function mount(source: string, target: string, flags: bigint): void {
  const from = cPath(source);
  const to = cSecondPath(target);
  const c = libc();
  check("mount", c.mount(from, to, null, flags, null), c.errno[0], target);
}

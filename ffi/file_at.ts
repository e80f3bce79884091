/**
 * Files by their name in an open directory: the kernel looks up that name, and not those of a path.
 * @module
 */
import { cPath } from "./buffer.ts";
import { check, Errno } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import {
  AT_SYMLINK_NOFOLLOW,
  type FileStatus,
  isAbsent,
  status,
  statx,
} from "./file_status.ts";
import { libc } from "./libc.ts";

/**
 * The status of a file, or of a symbolic link (statx(2)); undefined where there is nothing.
 *
 * @throws {SyscallError}
 */
export function lstatAt(
  directory: OwnedFd,
  name: string,
): FileStatus | undefined {
  const errno = statx(directory.fd, name, AT_SYMLINK_NOFOLLOW);
  return isAbsent(errno) ? undefined : status(errno, name);
}

/**
 * Removes a file (unlinkat(2)); where there is none it does nothing.
 *
 * @returns whether there was one
 * @throws {SyscallError}
 */
export function unlinkAt(directory: OwnedFd, name: string): boolean {
  const c = libc();
  const result = c.unlinkat(directory.fd, cPath(name), 0);
  const errno = result < 0 ? c.errno[0] : 0;
  if (errno === Errno.ENOENT) return false;
  check("unlinkat", result, errno, name);
  return true;
}

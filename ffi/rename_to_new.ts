/**
 * Renaming that replaces nothing.
 * @module
 */
import { cPath, cSecondPath } from "./buffer.ts";
import { check } from "./errno.ts";
import { libc } from "./libc.ts";

/**
 * Renames a file or directory to a name that nothing has (renameat2(2) with RENAME_NOREPLACE).
 *
 * @throws {SyscallError} EEXIST when something has it; EINVAL on a file system that cannot tell
 */
export function renameToNew(from: string, to: string): void {
  const c = libc();
  const name = cPath(from);
  const target = cSecondPath(to);
  const result = c.renameat2(
    AT_FDCWD,
    name,
    AT_FDCWD,
    target,
    RENAME_NOREPLACE,
  );
  check("renameat2", result, c.errno[0], from);
}

// linux/fs.h, linux/fcntl.h
const RENAME_NOREPLACE = 1;
const AT_FDCWD = -100;

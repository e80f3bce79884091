/**
 * What the kernel says of whole file systems, and whether files may be made in them.
 * @module
 */
import { cString } from "./buffer.ts";
import { check } from "./errno.ts";
import { AT_FDCWD } from "./file_status.ts";
import { libc } from "./libc.ts";

/** Room in a file system. */
export interface FileSystemSpace {
  /** Bytes that it has in all; 0 where the file system does not count them. */
  readonly bytes: number;
  /** Bytes that this user may still write. */
  readonly availableBytes: number;
  /** Files that may exist; 0 where the file system does not count them. */
  readonly files: number;
  /** Files that may still be made. */
  readonly freeFiles: number;
  /** Nothing can be written. */
  readonly readOnly: boolean;
}

/**
 * The room in the file system that a path is on (statvfs(3)).
 *
 * @throws {SyscallError}
 */
export function fileSystemSpace(path: string): FileSystemSpace {
  const bytes = new Uint8Array(SIZE_OF_STATVFS);
  const name = cString(path);
  const c = libc();
  check("statvfs", libc().statvfs(name, bytes), c.errno[0], path);
  const view = new DataView(bytes.buffer);
  const word = (index: number) => Number(view.getBigUint64(8 * index, true));
  // struct statvfs of bits/statvfs.h: bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax
  return {
    bytes: word(1) * word(2),
    availableBytes: word(1) * word(4),
    files: word(5),
    freeFiles: word(7),
    readOnly: (word(9) & ST_RDONLY) !== 0,
  };
}

/** With room to spare: 112 bytes on 64-bit machines. */
const SIZE_OF_STATVFS = 256;
const ST_RDONLY = 1;

/** Whether this process may make files in a directory, by its effective user and capabilities (faccessat(2)). */
export function mayWriteIn(directory: string): boolean {
  return libc().faccessat(
    AT_FDCWD,
    cString(directory),
    W_OK | X_OK,
    AT_EACCESS,
  ) === 0;
}

// unistd.h and fcntl.h
const W_OK = 2;
const X_OK = 1;
const AT_EACCESS = 0x200;

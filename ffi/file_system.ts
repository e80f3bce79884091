/**
 * What the kernel says of whole file systems.
 * @module
 */
import { cString } from "./buffer.ts";
import { check } from "./errno.ts";
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

/**
 * What the kernel says of files.
 * @module
 */

/** What a file is. */
export type FileKind =
  | "file"
  | "directory"
  | "symlink"
  | "socket"
  | "fifo"
  | "character"
  | "block"
  | "unknown";

const KINDS: Readonly<Record<number, FileKind>> = {
  1: "fifo",
  2: "character",
  4: "directory",
  6: "block",
  8: "file",
  10: "symlink",
  12: "socket",
};

/** The kind that a `DT_*` value of a directory entry names, which is also that of a mode shifted right by 12. */
export function fileKind(type: number): FileKind {
  return KINDS[type] ?? "unknown";
}

/** What the kernel knows of a file. */
export interface FileStatus {
  /** What it is. */
  readonly kind: FileKind;
  /** Permission bits with set-uid, set-gid and sticky, such as 0o600. */
  readonly mode: number;
  /** Owner. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
  /** Number of hard links. */
  readonly nlink: number;
  /** Length in bytes. */
  readonly size: number;
  /** Number of the file in its file system. */
  readonly ino: bigint;
  /** The file system: its major device number in the upper 32 bits, the minor one in the lower. */
  readonly dev: bigint;
  /** When its contents or attributes were changed last, in nanoseconds since 1970 (ctime). */
  readonly changed: bigint;
}

/** Length of `struct statx` in bytes. */
export const SIZE_OF_STATX = 256;

/** Reads a `struct statx` (linux/stat.h). */
export function decodeStatx(view: DataView<ArrayBuffer>): FileStatus {
  const mode = view.getUint16(28, true);
  return {
    kind: fileKind(mode >> 12),
    mode: mode & 0o7777,
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    nlink: view.getUint32(16, true),
    size: view.getUint32(40, true) + 2 ** 32 * view.getUint32(44, true),
    ino: view.getBigUint64(32, true),
    dev: BigInt(view.getUint32(136, true)) << 32n |
      BigInt(view.getUint32(140, true)),
    changed: view.getBigInt64(96, true) * 1_000_000_000n +
      BigInt(view.getUint32(104, true)),
  };
}

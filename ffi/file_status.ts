/**
 * What the kernel says of files.
 * @module
 */
import { cPath } from "./buffer.ts";
import { check, Errno } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

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

/** Length of `struct statx` in bytes. */
const SIZE_OF_STATX = 256;

/**
 * What the kernel knows of a file. Each operation asks several times: numbers of 64 bits, each of which is memory and some are
 * made of two, are made when they are asked for (measured: 1 µs of 2 for each time).
 */
export class FileStatus {
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
  readonly #inoLow: number;
  readonly #inoHigh: number;
  readonly #devMajor: number;
  readonly #devMinor: number;
  readonly #seconds: number;
  readonly #nanoseconds: number;
  /** Keeps the shape: see `src/shape.ts`. Its numbers decide how V8 stores them. */
  static #last: FileStatus;

  /** Reads a `struct statx` (linux/stat.h). */
  constructor(view: DataView<ArrayBuffer>) {
    const mode = view.getUint16(28, true);
    this.kind = fileKind(mode >> 12);
    this.mode = mode & 0o7777;
    this.uid = view.getUint32(20, true);
    this.gid = view.getUint32(24, true);
    this.nlink = linksIn(view);
    this.size = view.getUint32(40, true) + 2 ** 32 * view.getUint32(44, true);
    this.#inoLow = view.getUint32(32, true);
    this.#inoHigh = view.getUint32(36, true);
    this.#devMajor = view.getUint32(136, true);
    this.#devMinor = view.getUint32(140, true);
    this.#seconds = view.getUint32(96, true) +
      2 ** 32 * view.getInt32(100, true);
    this.#nanoseconds = view.getUint32(104, true);
    FileStatus.#last = this;
  }

  /** Number of the file in its file system: a bigint, which takes 0.5 µs, only when it has to be one. */
  get ino(): number | bigint {
    if (this.#inoHigh < 2 ** 21) return this.#inoHigh * 2 ** 32 + this.#inoLow;
    return BigInt(this.#inoHigh) << 32n | BigInt(this.#inoLow);
  }

  /** The file system: its major device number in the upper 32 bits, the minor one in the lower. */
  get dev(): bigint {
    return BigInt(this.#devMajor) << 32n | BigInt(this.#devMinor);
  }

  /** When its contents or attributes were changed last, in nanoseconds since 1970 (ctime). */
  get changed(): bigint {
    return BigInt(this.#seconds) * 1_000_000_000n + BigInt(this.#nanoseconds);
  }

  /** File system, number, length and time of the last change as text, for comparison with that of other times and with nothing else. */
  get version(): string {
    const inoLow = this.#inoLow;
    const inoHigh = this.#inoHigh;
    const size = this.size;
    const sizeHigh = size / 2 ** 32;
    const seconds = this.#seconds;
    const secondsHigh = seconds / 2 ** 32;
    const nanoseconds = this.#nanoseconds;
    const devMajor = this.#devMajor;
    const devMinor = this.#devMinor;
    // Each letter has 16 bits, and what is above them is cut off. At once: texts that are put together take 0.3 µs.
    return String.fromCharCode(
      inoLow,
      inoLow >>> 16,
      inoHigh,
      inoHigh >>> 16,
      size,
      size >>> 16,
      sizeHigh,
      sizeHigh >>> 16,
      seconds,
      seconds >>> 16,
      secondsHigh,
      secondsHigh >>> 16,
      nanoseconds,
      nanoseconds >>> 16,
      devMajor,
      devMajor >>> 16,
      devMinor,
      devMinor >>> 16,
    );
  }
}

/** Number of hard links in a `struct statx`. */
function linksIn(view: DataView<ArrayBuffer>): number {
  return view.getUint32(16, true);
}

/** The directory that the process is in. */
export const AT_FDCWD = -100;
/** Of a symbolic link itself. */
export const AT_SYMLINK_NOFOLLOW = 0x100;
/** Of the open file itself. */
export const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;

/** Whether {@linkcode statx} found nothing. */
export function isAbsent(errno: number): boolean {
  return errno === Errno.ENOENT || errno === Errno.ENOTDIR;
}

/** Of the last {@linkcode statx}, and decoded before the next: see {@linkcode cPath}. */
const STATUS = new Uint8Array(SIZE_OF_STATX);
const STATUS_VIEW = new DataView(STATUS.buffer);

/**
 * statx, since `struct stat` differs between architectures and `struct statx` does not.
 *
 * @param directory in which a path begins
 * @returns the error number, or 0: {@linkcode status} has what was found, until the next call
 */
export function statx(directory: number, path: string, flags: number): number {
  const name = cPath(path);
  const c = libc();
  return c.statx(directory, name, flags, STATX_BASIC_STATS, STATUS) < 0
    ? c.errno[0]
    : 0;
}

/**
 * What {@linkcode statx} found.
 *
 * @throws {SyscallError}
 */
export function status(errno: number, path?: string): FileStatus {
  check("statx", errno === 0 ? 0 : -1, errno, path);
  return new FileStatus(STATUS_VIEW);
}

/**
 * How many names an open file has (statx(2)): none when it was removed.
 *
 * @throws {SyscallError}
 */
export function linksOf(fd: OwnedFd): number {
  const errno = statx(fd.fd, "", AT_EMPTY_PATH);
  check("statx", errno === 0 ? 0 : -1, errno);
  return linksIn(STATUS_VIEW);
}

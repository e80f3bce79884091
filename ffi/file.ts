/**
 * Files and directories, through the C library: no permission of the runtime is needed but that for FFI, `/proc` is
 * always that of the calling thread, and nothing runs on another thread.
 * @module
 */
import { cPath, cSecondPath, fromCString, fromUtf8, utf8 } from "./buffer.ts";
import { check, Errno, SyscallError } from "./errno.ts";
import { OwnedFd } from "./fd.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  type FileKind,
  fileKind,
  type FileStatus,
  isAbsent,
  status,
  statx,
} from "./file_status.ts";
import { libc } from "./libc.ts";

const ARM64 = Deno.build.arch === "aarch64";

/** Open for reading. */
export const O_RDONLY = 0;
/** Open for writing. */
export const O_WRONLY = 1;
/** Create the file if it does not exist. */
export const O_CREAT = 0o100;
/** With O_CREAT: fail with EEXIST if the file exists. */
export const O_EXCL = 0o200;
/** Cut the file to length 0. */
export const O_TRUNC = 0o1000;
/** Write at the end of the file, wherever that is by then. */
export const O_APPEND = 0o2000;
/** Do not wait, such as for the other end of a FIFO. */
export const O_NONBLOCK = 0o4000;
/** Fail with ENOTDIR if the file is no directory. */
export const O_DIRECTORY: number = ARM64 ? 0o40000 : 0o200000;
/** Fail with ELOOP if the last part of the path is a symbolic link. */
export const O_NOFOLLOW: number = ARM64 ? 0o100000 : 0o400000;
/** Closed by exec. */
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;

/**
 * Opens a file; always close-on-exec (open(2)). Retries when a signal interrupts.
 *
 * @param flags O_RDONLY or O_WRONLY, with any of the others
 * @param mode permissions of a file that is created, less the umask
 * @throws {SyscallError}
 */
export function open(path: string, flags: number, mode = 0): OwnedFd {
  const name = cPath(path);
  const c = libc();
  for (;;) {
    const result = c.open(name, flags | O_CLOEXEC, mode);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) {
      return new OwnedFd(check("open", result, errno, path));
    }
  }
}

/**
 * Reads what is there, once (read(2)). Retries when a signal interrupts.
 *
 * @returns how many bytes were read, 0 at the end
 * @throws {SyscallError}
 */
export function read(
  fd: OwnedFd,
  buffer: Uint8Array<ArrayBuffer>,
  path?: string,
): number {
  const number = fd.fd;
  const size = BigInt(buffer.length);
  const c = libc();
  for (;;) {
    const result = c.read(number, buffer, size);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) return check("read", result, errno, path);
  }
}

/**
 * Reads the beginning of a file, wherever its position is (pread(2)). Returns the number of bytes read.
 *
 * @throws {SyscallError}
 */
export function readStart(
  fd: OwnedFd,
  buffer: Uint8Array<ArrayBuffer>,
): number {
  const number = fd.fd;
  const size = BigInt(buffer.length);
  const c = libc();
  for (;;) {
    const result = c.pread(number, buffer, size, 0n);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) return check("pread", result, errno);
  }
}

/**
 * Writes all of `data` (write(2), repeated).
 *
 * A file of `/proc/sys` takes up to 4 KiB in one write, so short data is never split.
 *
 * @throws {SyscallError}
 */
export function writeAll(
  fd: OwnedFd,
  data: Uint8Array<ArrayBuffer>,
  path?: string,
): void {
  const number = fd.fd;
  const c = libc();
  let written = 0;
  do {
    const rest = written === 0 ? data : data.subarray(written);
    const size = BigInt(rest.length);
    const result = c.write(number, rest, size);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) written += check("write", result, errno, path);
  } while (written < data.length);
}

/** Options of {@linkcode readFile} and {@linkcode readTextFile}. */
export interface ReadFileOptions {
  /**
   * Longest file accepted, in bytes.
   * @default 16 MiB
   */
  readonly maxBytes?: number;
  /**
   * More open flags, such as O_NOFOLLOW.
   * @default 0
   */
  readonly flags?: number;
}

/**
 * Reads a whole file, also of `/proc`.
 *
 * @throws {SyscallError} EFBIG, as of `read`, when it is longer than `maxBytes`
 */
export function readFile(
  path: string,
  options: ReadFileOptions = {},
): Uint8Array<ArrayBuffer> {
  const maxBytes = options.maxBytes ?? 1 << 24;
  using fd = open(path, O_RDONLY | (options.flags ?? 0));
  // One byte more than allowed, to tell "as long as allowed" from "longer".
  let buffer = new Uint8Array(Math.min(maxBytes + 1, FIRST_READ_BYTES));
  let length = 0;
  for (;;) {
    const count = read(fd, buffer.subarray(length), path);
    if (count === 0) return buffer.slice(0, length);
    length += count;
    if (length > maxBytes) throw new SyscallError("read", Errno.EFBIG, path);
    if (length === buffer.length) {
      const larger = new Uint8Array(Math.min(maxBytes + 1, 4 * length));
      larger.set(buffer);
      buffer = larger;
    }
  }
}

const FIRST_READ_BYTES = 4096;

/**
 * Reads a whole UTF-8 file, also of `/proc`.
 *
 * @throws {SyscallError} EFBIG, as of `read`, when it is longer than `maxBytes`
 */
export function readTextFile(
  path: string,
  options: ReadFileOptions = {},
): string {
  return fromUtf8(readFile(path, options));
}

/**
 * Writes to an existing file, from its beginning, without cutting it: what files of `/proc` want.
 *
 * @throws {SyscallError}
 */
export function writeFile(
  path: string,
  data: string | Uint8Array<ArrayBuffer>,
): void {
  using fd = open(path, O_WRONLY);
  writeAll(
    fd,
    typeof data === "string" ? utf8(data) : data,
    path,
  );
}

/**
 * Sets the permissions of an open file, whatever the umask (fchmod(2)).
 *
 * @throws {SyscallError}
 */
export function changeMode(fd: OwnedFd, mode: number): void {
  const c = libc();
  check("fchmod", c.fchmod(fd.fd, mode), c.errno[0]);
}

/**
 * Renames a file, replacing the target in one step (rename(2)).
 *
 * @throws {SyscallError}
 */
export function rename(from: string, to: string): void {
  const c = libc();
  check("rename", c.rename(cPath(from), cSecondPath(to)), c.errno[0], from);
}

/**
 * Removes a file (unlink(2)).
 *
 * @throws {SyscallError}
 */
export function unlink(path: string): void {
  const c = libc();
  check("unlink", c.unlink(cPath(path)), c.errno[0], path);
}

/**
 * As {@linkcode unlink}, but where there is no such file (ENOENT) it does nothing.
 *
 * @returns whether there was one
 * @throws {SyscallError}
 */
export function unlinkIfPresent(path: string): boolean {
  const c = libc();
  const result = c.unlink(cPath(path));
  const errno = result < 0 ? c.errno[0] : 0;
  if (errno === Errno.ENOENT) return false;
  check("unlink", result, errno, path);
  return true;
}

/**
 * Creates a directory (mkdir(2)).
 *
 * @param mode permissions, less the umask
 * @throws {SyscallError}
 */
export function mkdir(path: string, mode = 0o700): void {
  const c = libc();
  check("mkdir", c.mkdir(cPath(path), mode), c.errno[0], path);
}

/**
 * Removes an empty directory (rmdir(2)).
 *
 * @throws {SyscallError}
 */
export function rmdir(path: string): void {
  const c = libc();
  check("rmdir", c.rmdir(cPath(path)), c.errno[0], path);
}

/**
 * Where a symbolic link points to, such as `"net:[4026531840]"` (readlink(2)).
 *
 * @throws {SyscallError}
 */
export function readLink(path: string): string {
  const name = cPath(path);
  const c = libc();
  for (let size = FIRST_LINK_BYTES;; size *= 4) {
    const target = new Uint8Array(size);
    const length = check(
      "readlink",
      c.readlink(name, target, BigInt(size)),
      c.errno[0],
      path,
    );
    // A target as long as the buffer may have been cut off.
    if (length < size) {
      return fromUtf8(target.subarray(0, length));
    }
  }
}

const FIRST_LINK_BYTES = 256;

/**
 * The one path of what is there, without symbolic links, `.`, `..` and needless slashes.
 *
 * @throws {SyscallError}
 */
export function realPath(path: string): string {
  using file = open(path, O_PATH);
  return readLink(`/proc/self/fd/${file.fd}`);
}

/**
 * Creates a directory of mode 0700 whose path is `prefix` and some random letters.
 *
 * @returns its path
 * @throws {SyscallError}
 */
export function makeTempDirectory(prefix: string): string {
  for (;;) {
    const path = prefix + crypto.randomUUID().slice(-12);
    try {
      mkdir(path, 0o700);
      return path;
    } catch (error) {
      if (!(error instanceof SyscallError) || error.errno !== Errno.EEXIST) {
        throw error;
      }
    }
  }
}

/** An entry of a directory. */
export interface DirectoryEntry {
  /** Its name, without the directory's path. */
  readonly name: string;
  /** What it is; `"unknown"` if the file system does not say. */
  readonly kind: FileKind;
}

/**
 * The entries of a directory but `.` and `..`, in no order (getdents64(2)).
 *
 * @param flags more open flags, such as O_NOFOLLOW
 * @throws {SyscallError}
 */
export function readDirectory(path: string, flags = 0): DirectoryEntry[] {
  using fd = open(path, O_RDONLY | O_DIRECTORY | flags);
  const number = fd.fd;
  const buffer = new Uint8Array(1 << 15);
  const view = new DataView(buffer.buffer);
  const c = libc();
  const entries: DirectoryEntry[] = [];
  for (;;) {
    const end = check(
      "getdents64",
      c.getdents64(number, buffer, BigInt(buffer.length)),
      c.errno[0],
      path,
    );
    if (end === 0) return entries;
    // struct linux_dirent64 { u64 ino; s64 offset; u16 length; u8 type; char name[]; }
    for (let at = 0; at < end; at += view.getUint16(at + 16, true)) {
      const name = fromCString(buffer, at + 19);
      if (name === "." || name === "..") continue;
      entries.push({ name, kind: fileKind(view.getUint8(at + 18)) });
    }
  }
}

/**
 * Whether an open directory has no entries but `.` and `..` (getdents64(2)). To be asked once of a descriptor, which reads
 * on from where it was.
 *
 * @throws {SyscallError}
 */
export function isEmptyDirectory(fd: OwnedFd): boolean {
  const buffer = FEW_ENTRIES;
  const c = libc();
  const end = check(
    "getdents64",
    c.getdents64(fd.fd, buffer, SIZE_OF_FEW_ENTRIES),
    c.errno[0],
  );
  const view = new DataView(buffer.buffer);
  for (let at = 0; at < end; at += view.getUint16(at + 16, true)) {
    if (!isSelfOrParent(buffer, at + 19)) return false;
  }
  return true;
}

/** Room for both of them and any third one. */
const FEW_ENTRIES = new Uint8Array(512);
const SIZE_OF_FEW_ENTRIES = BigInt(FEW_ENTRIES.length);

/** Whether the name at an offset is `.` or `..`. */
function isSelfOrParent(bytes: Uint8Array, at: number): boolean {
  const dot = 0x2e;
  return bytes[at] === dot &&
    (bytes[at + 1] === 0 || bytes[at + 1] === dot && bytes[at + 2] === 0);
}

/**
 * The status of a file, that a symbolic link at the end of the path leads to (statx(2)).
 *
 * @throws {SyscallError}
 */
export function stat(path: string): FileStatus {
  return status(statx(AT_FDCWD, path, 0), path);
}

/**
 * The status of a file, or of the symbolic link at the end of the path (statx(2)).
 *
 * @throws {SyscallError}
 */
export function lstat(path: string): FileStatus {
  return status(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), path);
}

/**
 * As {@linkcode lstat}, but undefined where there is nothing (ENOENT, ENOTDIR): an error would take 15 µs to be made.
 *
 * @throws {SyscallError}
 */
export function lstatOrNone(path: string): FileStatus | undefined {
  const errno = statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  return isAbsent(errno) ? undefined : status(errno, path);
}

/**
 * The status of an open file (statx(2)).
 *
 * @throws {SyscallError}
 */
export function fstat(fd: OwnedFd): FileStatus {
  return status(statx(fd.fd, "", AT_EMPTY_PATH));
}

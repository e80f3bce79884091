/**
 * The state directory: private directories, files that appear whole or not at all.
 *
 * @module
 */
import {
  changeMode,
  fstat,
  lstat,
  lstatOrNone,
  mkdir,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  open,
  read,
  rename,
  rmdir,
  unlink,
  unlinkIfPresent,
  writeAll,
} from "../../ffi/file.ts";
import { Errno, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import type { FileStatus } from "../../ffi/file_status.ts";
import { geteuid } from "../../ffi/process.ts";
import { SandboxError } from "../errors.ts";
import { decodeRecord, encodeRecord, type RecordKind } from "./record.ts";

/** A record larger than this is not one of ours. */
const MAX_RECORD_BYTES = 1 << 20;
/** For records that grow with the nodes of a cluster: room for a hundred thousand. */
export const MAX_CLUSTER_RECORD_BYTES = 32 << 20;

/**
 * Makes `path` a directory that only this user can enter, with its missing parents.
 *
 * @returns the directories that it had to make, parents first
 * @throws {SandboxError} `StateUnusable` when it is a file, a symbolic link, someone else's or cannot be made
 */
export function ensurePrivateDirectory(path: string): string[] {
  const made: string[] = [];
  try {
    // Mostly it is there. The first error that is made and caught takes a process 0.2 ms.
    const found = lstatOrNone(path);
    if (found === undefined) makeDirectories(path, made);
    refuseForeign(path, found ?? lstat(path));
    return made;
  } catch (error) {
    for (const directory of made.reverse()) removeIfEmpty(directory);
    throw unusable(path, error);
  }
}

/**
 * Refuses what is no directory of this user alone.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function refuseForeign(path: string, status: FileStatus): void {
  if (status.kind !== "directory") {
    throw new SandboxError("StateUnusable", {
      path,
      reason: status.kind === "symlink"
        ? "is a symbolic link, give the directory itself"
        : "is not a directory",
    });
  }
  if (status.uid !== geteuid()) {
    throw new SandboxError("StateUnusable", {
      path,
      reason: `belongs to user ${status.uid}, not to user ${geteuid()}`,
    });
  }
  if ((status.mode & 0o022) !== 0) {
    throw new SandboxError("StateUnusable", {
      path,
      reason: "can be written by other users, chmod it to 0700",
    });
  }
}

function makeDirectories(path: string, made: string[]): void {
  try {
    mkdir(path, 0o700);
  } catch (error) {
    if (isSyscallError(error, Errno.EEXIST)) return;
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (!isSyscallError(error, Errno.ENOENT) || parent === "") throw error;
    makeDirectories(parent, made);
    try {
      mkdir(path, 0o700);
    } catch (error) {
      if (isSyscallError(error, Errno.EEXIST)) return; // another process is at it too
      throw error;
    }
  }
  made.push(path);
}

/** Removes a directory unless there is something in it, or it is in use. */
export function removeIfEmpty(path: string): void {
  try {
    rmdir(path);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
}

/** Ends the name of a file that is being written. */
export const UNFINISHED = ".tmp";

/**
 * Writes a file so that a reader, or a crash, sees the old content or the new and nothing between. What a crash leaves is
 * `path` with {@linkcode UNFINISHED}, which the next writer takes away.
 *
 * The caller keeps other writers of `path` out by a lock.
 *
 * @param mode permission bits, whatever the umask: 0600 unless containers are to read it
 * @throws {SandboxError} `StateUnusable`; the file is as it was
 */
export function writeFileAtomic(
  path: string,
  data: Uint8Array<ArrayBuffer>,
  mode = 0o600,
): void {
  try {
    replaceFile(path, data, mode);
  } catch (error) {
    throw unusable(path, error);
  }
}

/**
 * As {@linkcode writeFileAtomic}, for what is no state of podnet's.
 *
 * @throws {SyscallError} the file is as it was
 */
export function replaceFile(
  path: string,
  data: Uint8Array<ArrayBuffer>,
  mode: number,
): void {
  const temporary = path + UNFINISHED;
  const file = openAnew(temporary, mode);
  try {
    // Closed before it is renamed: a file system may tell only then that it could not write.
    fill(file, data);
    rename(temporary, path);
  } catch (error) {
    tryToRemove(temporary);
    throw error;
  }
}

/**
 * Writes a file where there is none. What a crash leaves may be half of it: for files that count only when something later
 * says so. Costs 15 µs less than {@linkcode writeFileAtomic}.
 *
 * @param mode permission bits, whatever the umask: 0600 unless containers are to read it
 * @param made the file, if it was made before by {@linkcode makeFile} and not written yet: 10 µs less
 * @throws {SandboxError} `StateUnusable`
 */
export function writeNewFile(
  path: string,
  data: Uint8Array<ArrayBuffer>,
  mode = 0o600,
  made?: OwnedFd,
): void {
  try {
    fill(made?.closed === false ? made : openAnew(path, mode), data);
  } catch (error) {
    throw unusable(path, error);
  }
}

/**
 * Makes an empty file for {@linkcode writeNewFile}.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function makeFile(path: string, mode: number): OwnedFd {
  try {
    return openAnew(path, mode);
  } catch (error) {
    throw unusable(path, error);
  }
}

/** Writes all of a new file, and closes it. */
function fill(file: OwnedFd, data: Uint8Array<ArrayBuffer>): void {
  try {
    writeAll(file, data);
  } finally {
    file[Symbol.dispose]();
  }
}

/** Makes the file, in place of one that a crash left. */
function openAnew(path: string, mode: number): OwnedFd {
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  let file: OwnedFd;
  try {
    file = open(path, flags, mode);
  } catch (error) {
    if (!isSyscallError(error, Errno.EEXIST)) throw error;
    unlink(path);
    file = open(path, flags, mode);
  }
  try {
    // No umask takes anything from its owner that root would miss; and mostly none takes anything, which is cheaper to see.
    if ((mode & 0o077) !== 0 && fstat(file).mode !== mode) {
      changeMode(file, mode);
    }
    return file;
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

/** After a failure, which is the one to know; what stays is taken away by the next writer. */
function tryToRemove(path: string): void {
  try {
    unlink(path);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
}

/**
 * Writes a record; see {@linkcode writeFileAtomic}.
 *
 * @param maxBytes that it may have
 */
export function writeRecord<T>(
  kind: RecordKind<T>,
  path: string,
  body: T,
  maxBytes: number = MAX_RECORD_BYTES,
): void {
  writeFileAtomic(path, recordBytes(kind, path, body, maxBytes));
}

/** Writes a record where there is none; see {@linkcode writeNewFile}. */
export function writeNewRecord<T>(
  kind: RecordKind<T>,
  path: string,
  body: T,
  made?: OwnedFd,
): void {
  const bytes = recordBytes(kind, path, body, MAX_RECORD_BYTES);
  writeNewFile(path, bytes, 0o600, made);
}

function recordBytes<T>(
  kind: RecordKind<T>,
  path: string,
  body: T,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const bytes = encodeRecord(kind, body);
  if (bytes.length > maxBytes) {
    throw new SandboxError("StateUnusable", {
      path,
      reason:
        `would have ${bytes.length} bytes, and ${maxBytes} at most are read back: use fewer or shorter labels`,
    });
  }
  return bytes;
}

/**
 * Reads a record.
 *
 * @param maxBytes that it may have
 * @returns undefined when there is none
 * @throws {SandboxError} `RecordInvalid` when the file is not a plain file of this user or does not decode
 */
export function readRecord<T>(
  kind: RecordKind<T>,
  path: string,
  maxBytes: number = MAX_RECORD_BYTES,
): T | undefined {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    // Before it is opened: opening some devices does something.
    const { kind } = lstat(path);
    if (kind !== "file") return refuse(path, NO_FILE[kind] ?? `is a ${kind}`);
    // O_NONBLOCK: a FIFO planted here must not hang us. O_NOFOLLOW: nor a link lead us away.
    using file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const status = fstat(file);
    if (status.kind !== "file") return refuse(path, `is a ${status.kind}`);
    if (status.uid !== geteuid()) {
      return refuse(path, `belongs to user ${status.uid}`);
    }
    if ((status.mode & 0o022) !== 0) {
      return refuse(path, "can be written by other users");
    }
    if (status.size > maxBytes) {
      return refuse(path, `has ${status.size} bytes`);
    }
    bytes = new Uint8Array(status.size);
    for (let at = 0; at < bytes.length;) {
      const count = read(file, bytes.subarray(at), path);
      if (count === 0) return refuse(path, "shrank while it was read");
      at += count;
    }
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    if (error.errno === Errno.ENOENT || error.errno === Errno.ENOTDIR) {
      return undefined;
    }
    // Of this one file, and no reason to give the others up.
    if (OF_THE_FILE.includes(error.errno)) {
      return refuse(path, `cannot be read (${error.code})`, error);
    }
    throw unusable(path, error);
  }
  return decodeRecord(kind, bytes, path);
}

const NO_FILE: Readonly<Record<string, string>> = {
  block: "is a block device",
  character: "is a character device",
  symlink: "is a symbolic link",
};

const OF_THE_FILE: readonly number[] = [
  Errno.EIO,
  Errno.EISDIR,
  Errno.ELOOP,
  Errno.ENXIO,
];

/** Removes a file; absent is fine. */
export function removeFile(path: string): void {
  unlinkIfPresent(path);
}

function refuse(path: string, reason: string, cause?: unknown): never {
  throw new SandboxError("RecordInvalid", { path, reason }, { cause });
}

/** What is no fault of the file system: the process, or the system, has too many files open, or no memory. */
function isOfProcess(error: SyscallError): boolean {
  return isSyscallError(error, Errno.EMFILE, Errno.ENFILE, Errno.ENOMEM);
}

/** `cause`, or what it means when the file system refused. */
export function unusable(path: string, cause: unknown): unknown {
  if (!(cause instanceof SyscallError) || isOfProcess(cause)) return cause;
  const reason = refusal(cause, "use another state directory") ?? cause.message;
  return new SandboxError("StateUnusable", { path, reason }, { cause });
}

/**
 * What it means that the file system refused, and what to do, after a path.
 *
 * @param elsewhere what to do to use another file system
 * @returns undefined for what says enough by itself
 */
export function refusal(
  { errno }: SyscallError,
  elsewhere: string,
): string | undefined {
  switch (errno) {
    case Errno.ENOTDIR:
      return "has a file where a directory is needed";
    case Errno.EISDIR:
      return "is a directory where a file is needed";
    case Errno.EROFS:
      return `is on a read-only file system: remount it read-write, or ${elsewhere}`;
    case Errno.ENOSPC:
      return "is on a file system without room or without inodes: make room (df, df -i)";
    case Errno.EDQUOT:
      return "is over this user's disk quota: make room, or raise it";
    case Errno.EACCES:
    case Errno.EPERM:
      return `is not accessible to this user: be root, or ${elsewhere}`;
    case Errno.ELOOP:
      return "is a symbolic link, or leads through a loop of them";
    default:
      return undefined;
  }
}

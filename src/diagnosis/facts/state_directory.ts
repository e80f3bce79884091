/**
 * The directory of records and pins.
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import { lstat, readDirectory, stat } from "../../../ffi/file.ts";
import type { FileKind, FileStatus } from "../../../ffi/file_status.ts";
import { fileSystemSpace, mayWriteIn } from "../../../ffi/file_system.ts";
import { readIfPresent, type Witness } from "./witness.ts";

/** The state directory, or the place where it will be made. */
export interface StateDirectoryFacts {
  /** Where it is. */
  readonly path: string;
  /** What is there; undefined when nothing is yet, or it cannot be seen. */
  readonly status?: {
    /** What it is. */
    readonly kind: FileKind;
    /** Permission bits. */
    readonly mode: number;
    /** User id of the owner. */
    readonly uid: number;
  };
  /** Directories in it: each is a node. */
  readonly nodes: readonly string[];
  /** Type of the file system, such as `tmpfs`. */
  readonly fileSystem?: string;
  /** Nothing can be written there. */
  readonly readOnly: boolean;
  /** This user may make files there, or the directory itself. */
  readonly writable: boolean;
  /** Bytes that may still be written. */
  readonly availableBytes?: number;
  /** Files that may still be made; missing where the file system does not count them. */
  readonly freeFiles?: number;
  /** Other mount namespaces see pins that are made here: the mount is shared (mount_namespaces(7)). */
  readonly shared?: boolean;
}

/** Looks. */
export function stateDirectoryFacts(
  witness: Witness,
  path: string,
): StateDirectoryFacts {
  const status = witness.see(path, () => statusOf(path));
  const isDirectory = status?.kind === "directory";
  const nodes = isDirectory
    ? witness.see(
      `nodes in ${path}`,
      () =>
        // No node's name begins with a dot: that is what clusters are noted in.
        readDirectory(path).filter(({ kind, name }) =>
          kind === "directory" && !name.startsWith(".")
        ).map(({ name }) => name).sort(),
    ) ?? []
    : [];
  const there = isDirectory ? path : nearestAncestor(path);
  const space = witness.see(
    `room in ${there}`,
    () => fileSystemSpace(there),
  );
  const mount = witness.see(`mount of ${there}`, () => mountOf(there));
  return {
    path,
    ...(status === undefined ? {} : {
      status: { kind: status.kind, mode: status.mode, uid: status.uid },
    }),
    nodes,
    readOnly: space?.readOnly ?? false,
    writable: mayWriteIn(there),
    ...(space === undefined ? {} : { availableBytes: space.availableBytes }),
    ...(space === undefined || space.files === 0
      ? {}
      : { freeFiles: space.freeFiles }),
    ...(mount === undefined
      ? {}
      : { fileSystem: mount.type, shared: mount.shared }),
  };
}

function statusOf(path: string): FileStatus | undefined {
  try {
    return lstat(path);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) return undefined;
    throw error;
  }
}

function nearestAncestor(path: string): string {
  for (let at = path;;) {
    at = at.slice(0, at.lastIndexOf("/")) || "/";
    if (at === "/") return at;
    try {
      if (stat(at).kind === "directory") return at;
    } catch (error) {
      // Nothing is there, or what is above may not be looked into.
      if (!(error instanceof SyscallError)) throw error;
    }
  }
}

/** The mount that a path is on: the last one whose mount point the path is below (proc_pid_mountinfo(5)). */
export function mountOf(
  path: string,
): { readonly type: string; readonly shared: boolean } | undefined {
  let found: { type: string; shared: boolean; length: number } | undefined;
  for (
    const line of (readIfPresent("/proc/thread-self/mountinfo") ?? "").split(
      "\n",
    )
  ) {
    const [front = "", back = ""] = line.split(" - ");
    const point = (front.split(" ")[4] ?? "").replace(
      /\\([0-7]{3})/g,
      (_, octal) => String.fromCharCode(parseInt(octal, 8)),
    );
    const isAbove = path === point || point === "/" ||
      path.startsWith(`${point}/`);
    if (!isAbove || point.length < (found?.length ?? 0)) continue;
    found = {
      type: back.split(" ")[0] ?? "",
      shared: / shared:\d+/.test(front),
      length: point.length,
    };
  }
  return found;
}

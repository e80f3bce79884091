/**
 * The resolver's files of a container: a runtime mounts files before it runs hooks, so they lie in the bundle, mounted by
 * config.json, and are filled in place.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import {
  lstat,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_TRUNC,
  O_WRONLY,
  open,
  readTextFile,
  writeAll,
} from "../../ffi/file.ts";
import { type Problem, SandboxError } from "../errors.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";

/** The files, and where containers look for them. */
const FILES = ["resolv.conf", "hosts"] as const;

/**
 * Looks whether a bundle has the files.
 *
 * @throws {SandboxError} `InvalidSpec` when one is missing
 * @throws {SyscallError}
 */
export function requireFiles(bundle: string): void {
  const problems = FILES.flatMap((name): Problem[] =>
    isFile(`${bundle}/${name}`) ? [] : [{
      path: "bundle",
      message:
        `${bundle} has no file ${name}: make an empty one, and mount it at /etc/${name} in config.json`,
    }]
  );
  if (problems.length > 0) throw new SandboxError("InvalidSpec", { problems });
}

/**
 * Fills the files with what they are in the sandbox.
 *
 * @throws {SyscallError}
 */
export function fillFiles(
  bundle: string,
  { resolvConfPath, hostsPath }: Sandbox["dns"],
): void {
  for (const [i, source] of [resolvConfPath, hostsPath].entries()) {
    const path = `${bundle}/${FILES[i]}`;
    const text = new TextEncoder().encode(readTextFile(source));
    // In place: another file of the name would not be the one that is mounted.
    using file = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK);
    writeAll(file, text, path);
  }
}

function isFile(path: string): boolean {
  try {
    return lstat(path).kind === "file";
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return false;
    throw error;
  }
}

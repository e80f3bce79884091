/**
 * Configurations that readers of a directory come to before one.
 *
 * @module
 */
import { readDirectory } from "../../ffi/file.ts";

/**
 * Files of the same directory whose names come first, and end as those that readers look for.
 *
 * @throws {SyscallError}
 */
export function filesInFront(path: string, endings: RegExp): string[] {
  const at = path.lastIndexOf("/") + 1;
  const directory = path.slice(0, at);
  return readDirectory(directory).map(({ name }) => directory + name)
    .filter((other) => endings.test(other) && other < path)
    .sort();
}

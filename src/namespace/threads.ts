/**
 * The network namespaces of the process's threads.
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { readDirectory, readLink } from "../../ffi/file.ts";

/** The file that is the network namespace of one thread of this process. */
export function threadNamespacePath(thread: number): string {
  return `/proc/self/task/${thread}/ns/net`;
}

/**
 * The network namespace of each thread of this process, by thread number: `"net:[4026531840]"`.
 *
 * @throws {SyscallError}
 */
export function threadNamespaces(): Map<number, string> {
  const namespaces = new Map<number, string>();
  for (const { name } of readDirectory("/proc/self/task")) {
    const thread = Number(name);
    try {
      namespaces.set(thread, readLink(threadNamespacePath(thread)));
    } catch (error) {
      // The thread has ended since the directory was read, or is about to: one without memory is nobody's but the
      // machine's (ptrace_may_access), and EACCES in a user namespace.
      if (
        !isSyscallError(error, Errno.ENOENT, Errno.ESRCH, Errno.EACCES)
      ) throw error;
    }
  }
  return namespaces;
}

/**
 * The network namespaces of the process's threads.
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { readDirectory, readLink, readTextFile } from "../../ffi/file.ts";

/** The threads of this process. */
const THREADS = "/proc/self/task";

/** The file that is the network namespace of one thread of this process. */
export function threadNamespacePath(thread: number): string {
  return `${THREADS}/${thread}/ns/net`;
}

/** How often threads end in the moment that it takes to look at all. */
const TRIES = 100;

/**
 * The network namespace of each thread of this process, by thread number: `"net:[4026531840]"`. It has all threads that there
 * are when it is called, unless they keep ending.
 *
 * @throws {SyscallError}
 */
export function threadNamespaces(): Map<number, string> {
  for (let tries = 1;; tries++) {
    const namespaces = new Map<number, string>();
    const threads = readDirectory(THREADS).map(({ name }) => Number(name));
    for (const thread of threads) {
      const namespace = threadNamespace(thread);
      if (namespace !== undefined) namespaces.set(thread, namespace);
    }
    // The kernel ends its list at a thread that ends meanwhile, and goes on from another (next_tid in fs/proc/base.c).
    if (namespaces.size === threads.length || tries === TRIES) {
      return namespaces;
    }
  }
}

/**
 * The network namespace of a thread of this process; undefined when it has ended.
 *
 * @throws {SyscallError}
 */
export function threadNamespace(thread: number): string | undefined {
  return unlessEnded(() => readLink(threadNamespacePath(thread)));
}

/**
 * What the runtime calls a thread of this process; undefined when it has ended.
 *
 * @throws {SyscallError}
 */
export function threadName(thread: number): string | undefined {
  return unlessEnded(() => readTextFile(`${THREADS}/${thread}/comm`).trimEnd());
}

/**
 * A thread that is about to end is as one that has: without memory it is nobody's but the machine's (ptrace_may_access), and
 * EACCES in a user namespace.
 */
function unlessEnded<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ESRCH, Errno.EACCES)) {
      return undefined;
    }
    throw error;
  }
}

/**
 * The way out of the thread's own network namespace, and the way back.
 *
 * A thread that is left in a pod's namespace by mistake would do all further work of the program there, silently. So
 * the way back is verified; if it fails, the thread's namespace is found again through another thread of the process;
 * and if that fails as well, the process ends.
 * @module
 */
import type { OwnedFd } from "../../ffi/fd.ts";
import { O_RDONLY, open } from "../../ffi/file.ts";
import {
  setNetworkNamespace,
  THREAD_NETWORK_NAMESPACE_PATH,
  threadNetworkNamespace,
} from "../../ffi/namespace.ts";
import { exitNow } from "../../ffi/process.ts";
import { threadNamespacePath, threadNamespaces } from "./threads.ts";

interface Home {
  readonly id: string;
  fd: OwnedFd;
}

// The namespace this isolate's thread was in when it first left it, which in a worker born inside a pod is the pod's.
// Never handed out, so that nobody else closes it; open for as long as the thread lives, since every way back needs it.
let home: Home | undefined;

/** Exit code of a process that cannot get back: EX_SOFTWARE of sysexits.h. */
export const EXIT_LOST = 70;

/**
 * Prepares to leave the thread's own namespace. Disposing what this returns brings the thread back, or ends the process.
 *
 * Until then no other code may run: nothing may await.
 *
 * @param at the namespace the thread is in
 * @throws {TypeError} when the thread has left already: a window into one namespace cannot open another
 * @throws {SyscallError}
 */
export function leaveHome(at: string = threadNetworkNamespace()): Disposable {
  home ??= { id: at, fd: open(THREAD_NETWORK_NAMESPACE_PATH, O_RDONLY) };
  if (at !== home.id) {
    throw new TypeError(
      `the thread is in network namespace ${at} and not in its own, ${home.id}: ` +
        "finish what runs inside one namespace before entering another",
    );
  }
  return RETURN;
}

const RETURN: Disposable = { [Symbol.dispose]: comeHome };

function comeHome(): void {
  if (home === undefined) return;
  const failure = failureToReturn(home.fd, home.id);
  if (failure === undefined || returnThroughSibling(home)) return;
  exitNow(
    EXIT_LOST,
    `podnet: cannot return to network namespace ${home.id} (${failure}): ` +
      "the process ends, since whatever it did next would happen in a pod",
  );
}

/** Moves the thread to `fd` and sees that it has arrived: what went wrong, if anything did. */
function failureToReturn(fd: OwnedFd, id: string): unknown {
  let failure: unknown;
  try {
    setNetworkNamespace(fd);
  } catch (error) {
    failure = error;
  }
  try {
    // A thread that was refused the way out has never left, and lacks the capability to "return" as well.
    const at = threadNetworkNamespace();
    return at === id ? undefined : failure ?? `the way led to ${at}`;
  } catch (error) {
    return error;
  }
}

/** Finds the way home through a thread that never left. */
function returnThroughSibling(home: Home): boolean {
  try {
    for (const [thread, id] of threadNamespaces()) {
      if (id !== home.id) continue;
      const fd = open(threadNamespacePath(thread), O_RDONLY);
      if (failureToReturn(fd, home.id) === undefined) {
        // Given up and not closed: whoever closed the old number may have opened something else with it.
        home.fd.release();
        home.fd = fd;
        return true;
      }
      fd[Symbol.dispose]();
    }
  } catch {
    // The caller reports the first failure, which is the cause of this one.
  }
  return false;
}

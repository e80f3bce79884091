/**
 * The way out of the thread's own network namespace, and the way back.
 *
 * A thread that is left in a pod's namespace by mistake would do all further work of the program there, silently. So
 * the way back is tried before the first departure, and verified each time; if it fails, the thread's namespace is found
 * again through another thread of the process; and if that fails as well, the process ends.
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { O_RDONLY, open, readLink } from "../../ffi/file.ts";
import {
  namespaceId,
  setNetworkNamespace,
  THREAD_NETWORK_NAMESPACE_PATH,
  threadNetworkNamespace,
} from "../../ffi/namespace.ts";
import { exitNow } from "../../ffi/process.ts";
import { SandboxError } from "../errors.ts";
import { keepShape } from "../shape.ts";
import { threadNamespacePath, threadNamespaces } from "./threads.ts";

/** Exit code of a process that cannot get back: EX_SOFTWARE of sysexits.h. */
export const EXIT_LOST = 70;

/** Where the thread came from: it is away for as long as this is not disposed. */
class Journey implements Disposable {
  readonly #home: string;
  readonly #fd: OwnedFd;
  readonly #isOwned: boolean;

  constructor(home: string, way?: OwnedFd) {
    this.#home = home;
    this.#fd = way ?? open(THREAD_NETWORK_NAMESPACE_PATH, O_RDONLY);
    this.#isOwned = way === undefined;
  }

  /**
   * Sees that the thread is let back, by coming from where it is.
   *
   * @throws {SandboxError} NotPermitted
   * @throws {SyscallError}
   */
  rehearse(): void {
    try {
      setNetworkNamespace(this.#fd);
    } catch (error) {
      if (this.#isOwned) this.#fd[Symbol.dispose]();
      throw isSyscallError(error, Errno.EPERM)
        ? new SandboxError("NotPermitted", {
          operation:
            `enter another network namespace and return to ${this.#home}`,
          capability: "CAP_SYS_ADMIN",
        }, { cause: error })
        : error;
    }
  }

  [Symbol.dispose](): void {
    const failure = failureToReturn(this.#fd, this.#home);
    if (failure === undefined) {
      if (this.#isOwned) this.#fd[Symbol.dispose]();
    } else if (returnThroughSibling(this.#home)) {
      // The kernel was short of memory, say. But a number that does not lead home any more is given up and not closed:
      // whoever closed it may have opened something else with it.
      if (!leadsTo(this.#fd, this.#home)) this.#fd.release();
      else if (this.#isOwned) this.#fd[Symbol.dispose]();
    } else {
      exitNow(
        EXIT_LOST,
        `podnet: cannot return to network namespace ${this.#home} (${failure}): ` +
          "the process ends, since whatever it did next would happen in a pod",
      );
    }
    journey = undefined;
  }
}

keepShape(new Journey("", {} as OwnedFd));

// The journey this isolate's thread is on. The state of a thread is global by nature; it ends with the call that began
// it. A descriptor of its own is kept no longer, since it would hold the namespace after a worker has been terminated.
let journey: Journey | undefined;

// Where the thread is known to be let back to. A process with all capabilities in a user namespace may leave a network
// namespace that belongs to another one, and not come back; that does not change, so it is asked once.
let refuge: string | undefined;

/**
 * Prepares to leave the namespace the thread is in. Disposing what this returns brings it back, or ends the process.
 *
 * Until then no other code may run: nothing may await.
 *
 * @param at the namespace the thread is in
 * @param way leads to it, and stays its owner's; opened when it is not given, which takes 8 µs
 * @throws {TypeError} when the thread is away already: a window into one namespace cannot open another
 * @throws {SandboxError} NotPermitted when the thread would not be let back
 * @throws {SyscallError}
 */
export function leaveHome(
  at: string = threadNetworkNamespace(),
  way?: OwnedFd,
): Disposable {
  if (journey !== undefined) {
    throw new TypeError(
      `the thread is inside network namespace ${at}: ` +
        "finish what runs there before entering another one",
    );
  }
  const next = new Journey(at, way);
  if (at !== refuge) {
    next.rehearse();
    refuge = at;
  }
  return journey = next;
}

/** Moves the thread to `fd` and sees that it has arrived: what went wrong, if anything did. */
function failureToReturn(fd: OwnedFd, id: string): unknown {
  let failure: unknown;
  try {
    setNetworkNamespace(fd);
    // The thread is in what the descriptor is: asking that takes 1 µs, to look where the thread is 6.
    if (namespaceId(fd) === id) return undefined;
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

/** Whether a descriptor is still that of the namespace. */
function leadsTo(fd: OwnedFd, id: string): boolean {
  try {
    return readLink(`/proc/thread-self/fd/${fd.fd}`) === id;
  } catch {
    return false;
  }
}

/** Finds the way home through a thread that never left. */
function returnThroughSibling(home: string): boolean {
  try {
    for (const [thread, id] of threadNamespaces()) {
      if (id !== home) continue;
      using fd = open(threadNamespacePath(thread), O_RDONLY);
      if (failureToReturn(fd, home) === undefined) return true;
    }
  } catch {
    // The caller reports the first failure, which is the cause of this one.
  }
  return false;
}

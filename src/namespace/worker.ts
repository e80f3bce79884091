/**
 * Workers that live inside a network namespace.
 * @module
 */
import { SandboxError } from "../errors.ts";
import type { NetworkNamespace } from "./network_namespace.ts";
import { threadName, threadNamespace, threadNamespaces } from "./threads.ts";

/** Options of {@linkcode PodWorker.start}: those of `Worker`, which is always a module here. */
export type PodWorkerOptions = Omit<WorkerOptions, "type">;

/** A `Worker` whose threads are all inside one network namespace. Made by {@linkcode PodWorker.start}. */
export class PodWorker extends Worker implements AsyncDisposable {
  /** Its thread, none if it had ended when it was looked for, and the namespace that it is in. */
  #threads: readonly number[] = [];
  #namespace = "";

  /**
   * Starts a worker inside the namespace: any code, for its whole life, with no limits on what it awaits.
   *
   * The worker needs no permission or system call of its own for it. In it, `/proc/net` and `/proc/self/net` still show
   * the namespace of the process's first thread: read `/proc/thread-self/net`.
   *
   * @param url of a module
   * @throws {SandboxError} NotPermitted; InvalidNamespace if the worker is found to be elsewhere
   */
  static start(
    namespace: NetworkNamespace,
    url: string | URL,
    options: PodWorkerOptions = {},
  ): PodWorker {
    const names = new Set([...threadNamespaces().keys()].map(threadName));
    // The runtime starts the thread before the constructor returns, and a thread inherits the namespace of the one
    // that starts it. So everything the worker ever starts is inside as well: its pool, its children, its workers.
    const worker = namespace.run(() =>
      new PodWorker(url, { ...options, type: "module" })
    );
    const born = [...threadNamespaces()].filter(([thread]) =>
      isOfNewWorker(threadName(thread), names)
    );
    const threads = born.filter(([, id]) => id === namespace.id)
      .map(([thread]) => thread);
    // One that ends at once, or whose module cannot be loaded, may be gone already.
    if (threads.length === 0 && born.length > 0) {
      worker.terminate();
      throw new SandboxError("InvalidNamespace", {
        path: namespace.id,
        reason: "the runtime started the worker outside of it",
      });
    }
    worker.#threads = threads;
    worker.#namespace = namespace.id;
    return worker;
  }

  /**
   * Ends the worker and waits until its thread is gone. What of its pool holds the namespace still is about to go by itself.
   *
   * @throws {SandboxError} Timeout if it is still there after 5 s: the runtime cannot end a thread that is blocked in a
   * system call or in an endless loop
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.terminate();
    const deadline = performance.now() + END_TIMEOUT_MS;
    while (this.#alive()) {
      if (performance.now() > deadline) {
        throw new SandboxError("Timeout", {
          operation: "ending a worker",
          timeoutMs: END_TIMEOUT_MS,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  #alive(): boolean {
    return this.#threads.some((thread) =>
      threadNamespace(thread) === this.#namespace
    );
  }
}

const END_TIMEOUT_MS = 5000;

/**
 * Whether the name of a thread is that of a worker, and no other thread had it before. Threads of pools come and go at any time,
 * and have the name of the one that starts them until they give themselves another.
 */
function isOfNewWorker(
  name: string | undefined,
  before: ReadonlySet<string | undefined>,
): boolean {
  return name !== undefined && /^worker-\d+$/.test(name) && !before.has(name);
}

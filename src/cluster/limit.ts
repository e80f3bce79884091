/**
 * A limit on the time of what may never answer.
 *
 * @module
 */

/** Time that runs out, unless somebody else ends it before. Dispose it to stop it. */
export class Limit implements Disposable {
  readonly #abort = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #onAbort = () => this.#abort.abort(this.#outer?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  /**
   * @param outer ends it too
   * @param ms until it runs out
   */
  constructor(outer: AbortSignal | undefined, ms: number) {
    this.#outer = outer;
    outer?.addEventListener("abort", this.#onAbort, { once: true });
    if (outer?.aborted) this.#onAbort();
    this.restart(ms);
  }

  /** Aborts when it is over. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether the time has run out. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends it for a reason of its own. */
  end(reason: unknown): void {
    this.#abort.abort(reason);
  }

  /** Lets it run for so long from now. */
  restart(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isOver = true;
      this.#abort.abort(
        new DOMException(`no answer for ${Math.round(ms)} ms`, "TimeoutError"),
      );
    }, ms);
  }

  /** Lets it not run. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /** What `work` gives, or the signal's reason when that comes first. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#abort;
    signal.throwIfAborted();
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop);
    try {
      return await Promise.race([work(), aborted]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  [Symbol.dispose](): void {
    this.stop();
    this.#outer?.removeEventListener("abort", this.#onAbort);
  }
}

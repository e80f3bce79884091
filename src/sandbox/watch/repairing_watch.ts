/**
 * A watch that also repairs: what happens to links, and what was mended, in one sequence.
 *
 * @module
 */
import type { NodeContext } from "../node/context.ts";
import type { NodeEvent, NodeWatch } from "../node/node_event.ts";
import type { Report, Watchman } from "./watchman.ts";

/** Of somebody who never reads. */
const MAX_QUEUED = 10_000;

/** Events of links and of repairs, in the order in which they were noticed. */
export class RepairingWatch implements NodeWatch {
  readonly #links: NodeWatch;
  readonly #loading: Promise<void>;
  /** Once it is loaded. */
  #watchman: Watchman | undefined;
  /** Why there is none. */
  #failure: { readonly error: unknown } | undefined;
  readonly #queue: NodeEvent[] = [];
  /** Whether the next event of a link is waited for: only while somebody wants one. */
  #isReading = false;
  /** That no more events of links will come, and what they ended with. */
  #linksEnd: { readonly error?: unknown } | undefined;
  #news = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;

  /** Takes over the watch of links, and begins to repair. */
  constructor(context: NodeContext, links: NodeWatch, pollMs: number) {
    this.#links = links;
    this.#loading = this.#begin(context, pollMs);
  }

  async #begin(context: NodeContext, pollMs: number): Promise<void> {
    try {
      const { Watchman } = await import("../upkeep.ts");
      if (this.#closing !== undefined) return;
      context.state.refuseClosed();
      const tell = (report: Report) => this.#push(eventOf(report));
      const watchman = new Watchman(context, tell, pollMs);
      this.#watchman = watchman;
      // Whoever waits for events hears that no more will come.
      watchman.done.catch(() => {}).then(() => this.#ring());
    } catch (error) {
      this.#failure = { error };
      this.#ring();
    }
  }

  /**
   * The next event.
   *
   * @throws what kept the repairing from going on: `NodeNotFound` when the node was taken down, `NodeConflict` when it was
   * set up again in another way, `NodeClosed`; or what kept the watch of links from going on
   */
  async next(): Promise<IteratorResult<NodeEvent, undefined>> {
    for (;;) {
      if (this.#closing !== undefined) return { done: true, value: undefined };
      const event = this.#queue.shift();
      if (event !== undefined) return { done: false, value: event };
      if (this.#failure !== undefined) {
        await this.close();
        throw this.#failure.error;
      }
      if (this.#watchman?.hasEnded) {
        await this.close();
        await this.#watchman.done;
        return { done: true, value: undefined };
      }
      if (this.#linksEnd !== undefined) {
        await this.close();
        if ("error" in this.#linksEnd) throw this.#linksEnd.error;
        return { done: true, value: undefined };
      }
      const news = this.#news.promise;
      if (!this.#isReading) void this.#read();
      await news;
    }
  }

  /** Ends it when a `for await` is left. */
  async return(): Promise<IteratorResult<NodeEvent, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** The watch itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends it, once what is being mended is mended. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** Ends it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#ring();
    await this.#loading;
    await Promise.all([
      this.#links[Symbol.asyncDispose](),
      this.#watchman?.[Symbol.asyncDispose](),
    ]);
  }

  /** An end is remembered: a watch that has ended says so at once, and whoever asked it again and again would never rest. */
  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      const { done, value } = await this.#links.next();
      if (done) this.#linksEnd = {};
      else this.#push(value);
    } catch (error) {
      this.#linksEnd = { error };
    }
    this.#isReading = false;
    this.#ring();
  }

  #push(event: NodeEvent): void {
    if (this.#queue.length >= MAX_QUEUED) {
      this.#queue.length = 0;
      this.#queue.push({ type: "overflow", time: event.time });
    }
    this.#queue.push(event);
    this.#ring();
  }

  #ring(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}

function eventOf(report: Report): NodeEvent {
  const time = new Date().toISOString();
  if ("ready" in report) return { type: "ready", time };
  if ("repaired" in report) {
    return { type: "repaired", time, finding: report.repaired };
  }
  if ("unrepaired" in report) {
    return { type: "unrepaired", time, finding: report.unrepaired };
  }
  const { contested: finding, repairs, retryInMs } = report;
  return { type: "contested", time, finding, repairs, retryInMs };
}

/**
 * How long a program's event loop stands still.
 *
 * @module
 */
import { wallNs } from "./clock.ts";

/** How often it looks, in milliseconds: the shortest that timers do. */
const INTERVAL_MS = 1;

/** Looks at the clock from a timer: where looks are far apart, nothing else could run either. */
export class StallSampler {
  readonly #timer: ReturnType<typeof setInterval>;
  #last = wallNs();
  #longest = 0;

  constructor() {
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS);
  }

  #look(): void {
    const now = wallNs();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }

  /** The longest time between two looks since the last call, in nanoseconds, the one until now included. */
  longest(): number {
    this.#look();
    const longest = this.#longest;
    this.#longest = 0;
    return longest;
  }

  /** Ends it, and returns {@linkcode StallSampler.longest}. */
  end(): number {
    clearInterval(this.#timer);
    return this.longest();
  }
}

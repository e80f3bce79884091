/**
 * One run of the benchmark, as its parts see it.
 *
 * @module
 */
import { Results } from "./results.ts";

/** What a part is given. */
export class Bench {
  readonly results = new Results();
  readonly #quick: boolean;

  constructor(quick: boolean) {
    this.#quick = quick;
  }

  /** One of two sizes, by whether the run is to be quick. */
  size<T>(quick: T, full: T): T {
    return this.#quick ? quick : full;
  }

  /** Tells what is going on. */
  say(text: string): void {
    console.error(`· ${text}`);
  }
}

/**
 * One run of the benchmark, as its parts see it.
 *
 * @module
 */
import { Results } from "./results.ts";

/** What a part is given. */
export class Bench {
  readonly results = new Results();
  /** Other versions of podnet that are to be measured beside this one, as names of subjects. */
  readonly versions: readonly string[];
  readonly #quick: boolean;

  constructor(quick: boolean, versions: readonly string[] = []) {
    this.#quick = quick;
    this.versions = versions;
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

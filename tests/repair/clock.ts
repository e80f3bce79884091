/**
 * The clock of what waits before it mends again, which stands still but when a test moves it.
 *
 * @module
 */

/** `performance.now()` of this process, until it is disposed. Timers go on. */
export class StandingClock implements Disposable {
  readonly #real = performance.now;
  /** Whole, so that sums are. */
  #nowMs = Math.ceil(performance.now());

  constructor() {
    performance.now = () => this.#nowMs;
  }

  /** Lets so much time pass at once. */
  pass(ms: number): void {
    this.#nowMs += ms;
  }

  [Symbol.dispose](): void {
    performance.now = this.#real;
  }
}

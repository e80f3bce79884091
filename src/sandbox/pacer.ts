/**
 * Long work in short pieces.
 *
 * @module
 */

/** Longer than one sandbox takes, and too short for anybody to notice. */
const PIECE_MS = 4;

/** Lets the event loop have its turn: timers, sockets, other promises. Costs 4 µs, a timer of 0 ms more than a millisecond. */
export function turn(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

/** Lets the event loop run now and then. */
export class Pacer {
  #since = performance.now();
  readonly #onPause: () => void;

  /** `onPause` is called each time the event loop has had its turn. */
  constructor(onPause: () => void = () => {}) {
    this.#onPause = onPause;
  }

  /** Call it between pieces of work. */
  async pause(): Promise<void> {
    if (performance.now() - this.#since < PIECE_MS) return;
    await turn();
    this.#since = performance.now();
    this.#onPause();
  }
}

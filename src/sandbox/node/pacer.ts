/**
 * Long work in short pieces.
 *
 * @module
 */

/** Longer than one sandbox takes, and too short for anybody to notice. */
const PIECE_MS = 4;

/** The turn that was asked for last, if any. */
let last: Promise<void> | undefined;

/**
 * Lets the event loop have its turn: timers, sockets, other promises. Costs 1–4 µs, a timer of 0 ms more than a
 * millisecond.
 *
 * Immediates that are waiting run all in one go, and so would what waits for them: of many that ask at the same time
 * each has a turn of its own, one after the other.
 *
 * The first comes at once: a command that makes one sandbox needs none, and immediates are part of the runtime's Node
 * modules, which take 4 ms to load.
 */
export function turn(): Promise<void> {
  last = last?.then(() => new Promise((done) => setImmediate(done))) ??
    Promise.resolve();
  return last;
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

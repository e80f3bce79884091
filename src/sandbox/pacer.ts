/**
 * Long work in short pieces.
 *
 * @module
 */

/** Longer than one sandbox takes, and too short for anybody to notice. */
const PIECE_MS = 4;

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
    await new Promise((done) => setTimeout(done, 0));
    this.#since = performance.now();
    this.#onPause();
  }
}

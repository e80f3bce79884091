/**
 * Long work in short pieces.
 *
 * @module
 */
import { LastShape } from "../../shape.ts";

/** Longer than one sandbox takes, and too short for anybody to notice. */
const PIECE_MS = 4;

/** The turn that was asked for last, if any. */
let last: Promise<void> | undefined;
/** How many of those that were asked for have not come. */
let awaited = 0;

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
  if (last === undefined) return last = Promise.resolve();
  last = awaited++ === 0 ? ownTurn() : last.then(ownTurn);
  return last;
}

/** Of the runtime's class. */
const IMMEDIATE = new LastShape();

function ownTurn(): Promise<void> {
  return new Promise((done) => {
    IMMEDIATE.last = setImmediate(() => {
      awaited--;
      done();
    });
  });
}

/** Whether somebody has asked for a turn that has not come yet. */
export function isTurnAwaited(): boolean {
  return awaited > 0;
}

/** Lets the event loop have its turn, whoever else asks for one. */
export function loopTurn(): Promise<void> {
  return new Promise((done) => {
    IMMEDIATE.last = setImmediate(done);
  });
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

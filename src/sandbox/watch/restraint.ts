/**
 * How often the same thing is mended when somebody keeps undoing it.
 *
 * @module
 */
import { type Finding, keyOf } from "../node/finding.ts";

/** Mended at once this many times; after that each time takes twice as long. */
const FREE_REPAIRS = 3;
const FIRST_DELAY_MS = 1000;
const MAX_DELAY_MS = 60_000;
/** A thing that was right for this much longer than the last delay is a new one. */
const CALM_MS = 10_000;
/** More than is ever undone on one node at a time; of still more, the oldest are forgotten. */
const MAX_KEPT = 10_000;

interface History {
  /** How often it was mended in a row. */
  readonly repairs: number;
  /** When it was mended last. */
  readonly last: number;
}

/** Remembers what was mended. Times are in milliseconds of any one clock. */
export class Restraint {
  readonly #histories = new Map<string, History>();

  /** When a finding may be mended: now or earlier, or later when it was mended too often. */
  dueAt(finding: Finding, now: number): number {
    const history = this.#history(finding, now);
    return history === undefined
      ? now
      : history.last + delayAfter(history.repairs);
  }

  /** How often it was mended in a row. */
  repairsOf(finding: Finding, now: number): number {
    return this.#history(finding, now)?.repairs ?? 0;
  }

  /** Notes that it was mended. */
  note(finding: Finding, now: number): void {
    const repairs = this.repairsOf(finding, now) + 1;
    const key = keyOf(finding);
    this.#histories.delete(key);
    this.#histories.set(key, { repairs, last: now });
    if (this.#histories.size <= MAX_KEPT) return;
    for (const oldest of this.#histories.keys()) {
      this.#histories.delete(oldest);
      break;
    }
  }

  #history(finding: Finding, now: number): History | undefined {
    const history = this.#histories.get(keyOf(finding));
    if (history === undefined) return undefined;
    const { repairs, last } = history;
    return now - last > delayAfter(repairs) + CALM_MS ? undefined : history;
  }
}

function delayAfter(repairs: number): number {
  return repairs < FREE_REPAIRS
    ? 0
    : Math.min(FIRST_DELAY_MS * 2 ** (repairs - FREE_REPAIRS), MAX_DELAY_MS);
}

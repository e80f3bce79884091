/**
 * The last part of a removal is done a little later, of many together: pins are unmounted and files deleted.
 *
 * Once the kernel destroys namespaces, which it does on another CPU and of as many at a time as there are, unmounting waits
 * 100 to 350 µs for it (RCU) instead of 13, and giving an address back may wait for rtnl. So nothing is let go while
 * removals are under way, and the pins of a batch are unmounted while descriptors keep the namespaces alive: closing these
 * hands all to the kernel at once.
 *
 * But not too many: it holds rtnl for all that it destroys at a time, 0.3 ms for each, and every program that changes a
 * network waits for that: 126 ms when 500 were let go at once, 12 when the next ones wait until the kernel has begun with those
 * before. It takes 0.7 s then.
 *
 * Few need no timer: who tests a program with podnet would have it reported as left over.
 *
 * @module
 */
import type { RemovedSandboxes } from "../records/removed.ts";
import { orIgnore } from "../records/undo.ts";
import { isTurnAwaited, loopTurn } from "./pacer.ts";

/** So many are let go at a time, though the program goes on; the kernel has 11 MB for them. */
const BATCH = 32;
/** How often it is looked whether the kernel has begun; it does so after 10 to 40 ms. */
const LOOK_MS = 5;
/** Who keeps namespaces in use keeps nobody waiting for longer. */
const PATIENCE_MS = 1000;
/** More in a turn of the event loop than there are removals in one. */
const AT_A_TURN = 4;

/** See the module. One belongs to one open node. */
export class LateRemoval implements AsyncDisposable {
  readonly #removed: RemovedSandboxes;
  readonly #hasLink: (name: string) => boolean;
  /** Names of those that were put aside and may still be there, with what is open of them. */
  readonly #waiting = new Map<string, Disposable | undefined>();
  #isFirst = true;
  /** Removals that have begun. */
  #underWay = 0;
  #work: Promise<void> | undefined;
  /** What ends a removal, one for all: to make one takes longer than what it does. */
  readonly #end: Disposable = {
    [Symbol.dispose]: () => {
      this.#underWay--;
      this.#goOn();
    },
  };
  /** Names of those that were let go since the kernel was seen to have begun. */
  #letGo: string[] = [];
  #letGoAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isListening = false;
  readonly #onUnload = () => this.finish();

  /**
   * @param removed where they are, each by the name of its link
   * @param hasLink whether the node has a link of this name
   */
  constructor(removed: RemovedSandboxes, hasLink: (name: string) => boolean) {
    this.#removed = removed;
    this.#hasLink = hasLink;
  }

  /**
   * A removal begins, whose end is that of the result.
   *
   * @returns undefined for the first, which is done at once: a command that removes one sandbox needs no turns of the event
   * loop, which take 4 ms to be loaded
   */
  begin(): Disposable | undefined {
    if (this.#isFirst) {
      this.#isFirst = false;
      return undefined;
    }
    this.#underWay++;
    return this.#end;
  }

  /** Takes care of one that was put aside with its pin, and closes what is open of it. */
  add(name: string, files: Disposable | undefined): void {
    this.#waiting.set(name, files);
    if (this.#isListening) return;
    // For a program that ends before the event loop comes by.
    addEventListener("unload", this.#onUnload);
    this.#isListening = true;
  }

  #isDue(): boolean {
    return this.#waiting.size >= BATCH ||
      this.#waiting.size > 0 && this.#underWay === 0;
  }

  #goOn(): void {
    if (this.#work === undefined && this.#mayGoOn()) {
      this.#work = this.#finishAll();
    }
  }

  /** Whether something is to be done; what the kernel has no time for is looked for again later. */
  #mayGoOn(): boolean {
    if (!this.#isDue()) return false;
    if (this.#room() > 0) return true;
    this.#timer ??= this.#startTimer();
    return false;
  }

  #startTimer(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      this.#timer = undefined;
      this.#goOn();
    }, LOOK_MS);
    // A program that has nothing else to do shall end.
    timer.unref();
    return timer;
  }

  /** How many may be let go. */
  #room(): number {
    if (
      this.#letGo.length >= BATCH &&
      (!this.#letGo.every(this.#hasLink) ||
        performance.now() - this.#letGoAt > PATIENCE_MS)
    ) this.#letGo = [];
    return BATCH - this.#letGo.length;
  }

  async #finishAll(): Promise<void> {
    do {
      await loopTurn();
      // While the program goes on making and removing sandboxes they may become more.
      if (isTurnAwaited() && this.#waiting.size < BATCH) continue;
      if (this.#isDue()) await this.#finishBatch();
    } while (this.#mayGoOn());
    this.#work = undefined;
  }

  async #finishBatch(): Promise<void> {
    using held = new DisposableStack();
    const room = this.#room();
    let count = 0;
    for (const name of this.#waiting.keys()) {
      if (count === room) break;
      if (count++ % AT_A_TURN === 0 && count > 1) await loopTurn();
      held.use(this.#removed.hold(name));
      this.#finish(name);
      this.#letGo.push(name);
    }
    this.#letGoAt = performance.now();
    this.#removed.close();
  }

  /** Takes away now all that are waiting, however many. */
  finish(): void {
    if (this.#waiting.size === 0) return;
    for (const name of this.#waiting.keys()) this.#finish(name);
    this.#removed.close();
  }

  #finish(name: string): void {
    const files = this.#waiting.get(name);
    this.#waiting.delete(name);
    try {
      this.#removed.finish(name, true);
    } finally {
      // Of deleted files nothing can be lost any more, and nobody is there to be told.
      orIgnore(() => files?.[Symbol.dispose]());
    }
  }

  /** Takes away all that are waiting, and lets go what is held of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.finish();
    clearTimeout(this.#timer);
    removeEventListener("unload", this.#onUnload);
    this.#isListening = false;
    await this.#work;
  }
}

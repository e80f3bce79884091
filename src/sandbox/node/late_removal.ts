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

/** One that was put aside. */
interface Waiting {
  /** Of the node's end of its link. */
  readonly index: number;
  /** What is open of it. */
  readonly files: Disposable | undefined;
}

/** See the module. One belongs to one open node. */
export class LateRemoval implements AsyncDisposable {
  readonly #removed: RemovedSandboxes;
  readonly #hasLink: (index: number) => boolean;
  /** Those that were put aside and may still be there, by name. */
  readonly #waiting = new Map<string, Waiting>();
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
  /** Links of those that were let go since the kernel was seen to have begun. */
  #letGo: number[] = [];
  #letGoAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isListening = false;
  #isDisposed = false;
  readonly #onUnload = () => this.finish();

  /**
   * @param removed where they are
   * @param hasLink whether the node has a link of this index
   */
  constructor(removed: RemovedSandboxes, hasLink: (index: number) => boolean) {
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

  /**
   * Takes care of one that was put aside with its pin, and closes what is open of it.
   *
   * @param index of the node's end of its link
   */
  add(name: string, index: number, files: Disposable | undefined): void {
    // Of as many as are let go at a time: to close it takes 10 µs, but a process may have few descriptors.
    const isSoon = !this.#isDisposed && this.#waiting.size < BATCH;
    this.#waiting.set(name, { index, files: isSoon ? files : undefined });
    if (!isSoon) close(files);
    if (this.#isDisposed) return this.finish();
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
    for (const [name, one] of this.#waiting) {
      if (count === room) break;
      if (count++ % AT_A_TURN === 0 && count > 1) await loopTurn();
      held.use(this.#removed.hold(name));
      this.#finish(name, one);
      this.#letGo.push(one.index);
    }
    this.#letGoAt = performance.now();
    if (this.#waiting.size === 0) this.#removed.close();
  }

  /** Takes away now all that are waiting, however many. */
  finish(): void {
    if (this.#waiting.size === 0) return;
    for (const [name, one] of this.#waiting) this.#finish(name, one);
    this.#removed.close();
  }

  #finish(name: string, { files }: Waiting): void {
    this.#waiting.delete(name);
    try {
      this.#removed.finish(name, true);
    } finally {
      close(files);
    }
  }

  /** Takes away all that are waiting, and lets go what is held of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.finish();
    // Timers are part of the runtime's Node modules, which a command that needs none does not load: 4 ms.
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    removeEventListener("unload", this.#onUnload);
    this.#isListening = false;
    await this.#work;
  }
}

/** Of deleted files nothing can be lost any more, and nobody is there to be told. */
function close(files: Disposable | undefined): void {
  orIgnore(() => files?.[Symbol.dispose]());
}

/**
 * Namespaces with links that are made ahead, while the program has nothing else to do: a creation that takes one is spared
 * five sixths of its time.
 *
 * @module
 */
import type { PreparedEnd } from "../../attachment/pod_link.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { WarmDirectory } from "../records/warm_directory.ts";
import { expectDescriptors } from "./descriptors.ts";
import { turn } from "./pacer.ts";
import { explainRefusal } from "./permission.ts";

/** A pod's namespace, and a socket in it. */
export interface PodNamespace {
  readonly namespace: NetworkNamespace;
  readonly podRoute: Connection;
}

/** Made ahead; whoever takes it owns it. */
export interface WarmNamespace extends PodNamespace, Disposable {
  /** The node's end of the link, which has no alias. */
  readonly hostLink: { readonly name: string; readonly index: number };
  readonly prepared: PreparedEnd;
  /** Of the sandbox that it will be. */
  readonly directory: WarmDirectory;
}

/** Makes them; disposed after all that it has made. */
export interface WarmSource extends Disposable {
  /** Makes one, while the event loop may go on; undefined when this is disposed before it has begun. */
  make(): Promise<WarmNamespace | undefined>;
}

/** So long nothing must have been taken before more are made. */
const IDLE_MS = 10;

/** See the module. One belongs to one open node. */
export class WarmPool implements Disposable {
  /** How many there should be. */
  readonly size: number;
  readonly #source: WarmSource;
  readonly #ready: WarmNamespace[] = [];
  /** Those that were taken, whose descriptors are still to be closed. */
  readonly #taken: WarmNamespace[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether one was taken since the timer was set: a timer for each costs 10 µs. */
  #isBusy = false;
  #filling = false;
  #closed = false;
  #problem: unknown;
  /** A program that ends without closing its node leaves nothing either. */
  readonly #onUnload = () => this[Symbol.dispose]();

  /** Begins to fill it. Takes ownership of the source. */
  constructor(size: number, source: WarmSource) {
    this.size = size;
    this.#source = source;
    addEventListener("unload", this.#onUnload);
    this.#fillWhenIdle();
  }

  /** How many there are. */
  get ready(): number {
    return this.#ready.length;
  }

  /** Why there are not more, when making one failed; it is tried again after the next one is taken. */
  get problem(): unknown {
    return this.#problem;
  }

  /**
   * Takes one for the sandbox whose directory is to be at the path, if there is one and the sandbox is new. The caller gives
   * it to {@linkcode WarmPool.release} when it is done with it; until then the sandbox is locked.
   */
  take(path: string): WarmNamespace | undefined {
    for (;;) {
      this.#fillWhenIdle();
      const one = this.#ready.at(-1);
      if (one === undefined) return undefined;
      const outcome = one.directory.moveTo(path);
      if (outcome === "refused") return undefined;
      this.#ready.pop();
      if (outcome === "moved") return one;
      one[Symbol.dispose]();
    }
  }

  /** Unlocks the sandbox at once, and closes the rest when there is time: 10 µs a pod. */
  release(one: WarmNamespace): void {
    one.directory[Symbol.dispose]();
    if (this.#closed) one[Symbol.dispose]();
    else this.#taken.push(one);
  }

  /** Gives up those that nobody took. */
  [Symbol.dispose](): void {
    this.#closed = true;
    removeEventListener("unload", this.#onUnload);
    clearTimeout(this.#timer);
    this.#closeTaken();
    for (const one of this.#ready.splice(0)) one[Symbol.dispose]();
    this.#source[Symbol.dispose]();
  }

  #closeTaken(): void {
    for (const one of this.#taken.splice(0)) one[Symbol.dispose]();
  }

  #fillWhenIdle(): void {
    if (this.#closed || this.size === 0) return;
    this.#isBusy = this.#timer !== undefined;
    if (!this.#isBusy) this.#wait();
  }

  #wait(): void {
    this.#timer = setTimeout(() => {
      if (!this.#isBusy) return void this.#fill();
      this.#isBusy = false;
      this.#wait();
    }, IDLE_MS);
    // A program that has nothing else to do shall end.
    this.#timer.unref();
  }

  async #fill(): Promise<void> {
    this.#timer = undefined;
    this.#closeTaken();
    if (this.#filling) return;
    this.#filling = true;
    this.#problem = undefined;
    try {
      // Until somebody takes one, which sets the timer.
      while (
        !this.#closed && this.#timer === undefined &&
        this.#ready.length < this.size
      ) {
        await expectDescriptors();
        const made = await this.#source.make();
        if (made === undefined) return;
        if (this.#closed) made[Symbol.dispose]();
        else this.#ready.push(made);
        await turn();
      }
    } catch (error) {
      this.#problem = explainRefusal(error);
    } finally {
      this.#filling = false;
    }
  }
}

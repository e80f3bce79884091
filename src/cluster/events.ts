/**
 * What a cluster tells.
 *
 * @module
 */
import type { ClusterMember } from "./member.ts";
import type { MembershipState } from "./state.ts";

/** A node came, or says something else of itself. */
export interface MemberEvent {
  /** `joined`: it is there. `changed`: it was there before. */
  readonly type: "joined" | "changed";
  /** RFC 3339. */
  readonly time: string;
  /** The node. */
  readonly member: ClusterMember;
}

/** A node went: its pods are not reached any more. */
export interface DepartureEvent {
  /** Always `departed`. */
  readonly type: "departed";
  /** RFC 3339. */
  readonly time: string;
  /** Of the node. */
  readonly name: string;
}

/** A record of the store is ignored, or a node cannot be reached, or not wholly. Told once for as long as it is so. */
export interface RefusalEvent {
  /** Always `refused`. */
  readonly type: "refused";
  /** RFC 3339. */
  readonly time: string;
  /** The name that it is stored under. */
  readonly name: string;
  /** What is wrong with it. */
  readonly reason: string;
}

/** This node stands otherwise to the cluster. */
export interface StateEvent {
  /** Always `state`. */
  readonly type: "state";
  /** RFC 3339. */
  readonly time: string;
  /** How. */
  readonly state: MembershipState;
  /** Why it is not `ready`. */
  readonly reason?: string;
}

/** Paths to other nodes were made, changed or taken away. */
export interface PathsEvent {
  /** Always `paths`. */
  readonly type: "paths";
  /** RFC 3339. */
  readonly time: string;
  /** In plain words, one object each. */
  readonly changes: readonly string[];
}

/** Paths could not be made; it is tried again. */
export interface PathsFailedEvent {
  /** Always `failed`. */
  readonly type: "failed";
  /** RFC 3339. */
  readonly time: string;
  /** Why. */
  readonly reason: string;
}

/** More happened than was read: see who is there. */
export interface ClusterOverflowEvent {
  /** Always `overflow`. */
  readonly type: "overflow";
  /** RFC 3339. */
  readonly time: string;
}

/** What {@linkcode ClusterWatch} yields. */
export type ClusterEvent =
  | MemberEvent
  | DepartureEvent
  | RefusalEvent
  | StateEvent
  | PathsEvent
  | PathsFailedEvent
  | ClusterOverflowEvent;

/** Events from the moment it was made. Leaving a `for await` over it, or disposing it, ends it; so does the cluster's end. */
export interface ClusterWatch
  extends AsyncIterableIterator<ClusterEvent>, AsyncDisposable {}

/** Of events that nobody has read yet. */
const MAX_WAITING = 10_000;

/** Hands events to those who watch. */
export class EventFeed implements Disposable {
  readonly #watches = new Set<Watch>();
  #isDisposed = false;

  /** Tells all who watch now. */
  tell(event: ClusterEvent): void {
    for (const watch of this.#watches) watch.push(event);
  }

  /** From now on; nothing when this was disposed. */
  watch(): ClusterWatch {
    const watch: Watch = new Watch(() => this.#watches.delete(watch));
    this.#watches.add(watch);
    if (this.#isDisposed) watch.end();
    return watch;
  }

  /** Ends the watches, once they have told what has happened. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    for (const watch of this.#watches) watch.end();
  }
}

class Watch implements ClusterWatch {
  readonly #onEnd: () => void;
  #waiting: ClusterEvent[] = [];
  #isEnded = false;
  /** Of all who wait for the next event. */
  #news = Promise.withResolvers<void>();

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  push(event: ClusterEvent): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#waiting = [{ type: "overflow", time: event.time }];
    } else this.#waiting.push(event);
    this.#ring();
  }

  end(): void {
    this.#isEnded = true;
    this.#onEnd();
    this.#ring();
  }

  #ring(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  async next(): Promise<IteratorResult<ClusterEvent, undefined>> {
    for (;;) {
      const value = this.#waiting.shift();
      if (value !== undefined) return { value, done: false };
      if (this.#isEnded) return { value: undefined, done: true };
      await this.#news.promise;
    }
  }

  return(): Promise<IteratorResult<ClusterEvent, undefined>> {
    this.#waiting = [];
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/**
 * Keeping a place in a cluster, and knowing who else is there.
 *
 * @module
 */
import { uptimeMs } from "../../ffi/process.ts";
import { Limit } from "./limit.ts";
import type { ClusterMember } from "./member.ts";
import type { Place } from "./place.ts";
import { writeMember } from "./record.ts";
import { Roster } from "./roster.ts";
import type { MembershipState, MembershipStatus } from "./state.ts";
import {
  type ClusterStore,
  isStoreError,
  type Lease,
  type StoredMember,
  StoreError,
  type StoreErrorCode,
  type StoreListing,
} from "./store.ts";
import { backoffMs, pause } from "./wait.ts";

/** What a membership tells. */
export interface MembershipListener {
  /** The lease is good until then, by `uptimeMs()`, or has ended, and why. */
  onLease(lease: Lease, endsAtMs: number, reason?: string): void;
  /** {@linkcode Membership.status} has another state. */
  onState(status: MembershipStatus): void;
  /**
   * The roster has changed.
   *
   * @param isDoubtful the store has lost something, so others that are missing may be there all the same
   */
  onRoster(isDoubtful: boolean): void;
}

/** Renewals are never rarer, and retries never rarer than a sixth of the lease. */
const MAX_INTERVAL_MS = 60_000;
/** A listing of the largest cluster takes some seconds. */
const LIST_LIMIT_MS = 60_000;
const MAX_BACKOFF_MS = 5000;
/** A longer timer would run out at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A place that is being kept. */
export class Membership implements AsyncDisposable {
  /** Who is there. */
  readonly roster: Roster;
  readonly #store: ClusterStore;
  readonly #place: Place;
  readonly #listener: MembershipListener;
  readonly #stop = new AbortController();
  #kick = new AbortController();
  #watching = new AbortController();
  /** Aborted when the store does a renewal again. */
  #back = new AbortController();
  #self: ClusterMember;
  #lease: Lease;
  #endsAtMs: number;
  /** Texts of claims that may have taken effect without an answer: then the node is there by a lease that it does not know. */
  readonly #asked = new Set<string>();
  /** Why the lease is known to have ended. */
  #lost: string | undefined;
  /** Why the store did not do the last renewal. */
  #renewProblem: string | undefined;
  /** Why nothing is heard of others. */
  #watchProblem: string | undefined;
  /** Why everything is to be listed again. */
  #gap: StoreErrorCode | undefined;
  #state: MembershipState = "joining";
  #since = new Date();
  #end: ReturnType<typeof setTimeout> | undefined;
  #loops: Promise<unknown> | undefined;

  /** Does nothing yet: see {@linkcode Membership.start}. */
  constructor(
    store: ClusterStore,
    place: Place,
    listener: MembershipListener,
  ) {
    this.#store = store;
    this.#place = place;
    this.#listener = listener;
    this.#self = place.self;
    this.#lease = place.lease;
    this.#endsAtMs = place.endsAtMs;
    this.roster = new Roster(place.settings);
  }

  /** What the others see of this node. */
  get self(): ClusterMember {
    return this.#self;
  }

  /** The lease as it is now. */
  get lease(): Lease {
    return this.#lease;
  }

  /** How it stands. */
  get status(): MembershipStatus {
    const reason = this.#reason();
    const remaining = this.#lost === undefined
      ? Math.max(0, this.#endsAtMs - uptimeMs())
      : 0;
    return {
      state: this.#state,
      since: this.#since.toISOString(),
      ...reason !== undefined && { reason },
      ...Number.isFinite(remaining) && { leaseRemainingMs: remaining },
    };
  }

  /**
   * Begins: resolves when the roster is complete. It goes on by itself until it is disposed, and keeps the process alive.
   *
   * @throws {StoreError} when the store cannot be read
   */
  async start(): Promise<void> {
    this.#listener.onLease(this.#lease, this.#endsAtMs);
    this.roster.reset(await this.#list());
    this.#settle();
    this.#loops = Promise.all([this.#keep(), this.#follow()]);
  }

  /** Tells the others something else of this node. It is told with the next renewal that succeeds. */
  update(self: ClusterMember): void {
    this.#self = self;
    this.#kick.abort();
  }

  /** Stops keeping the place; the lease lasts for what is left of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException("it was ended", "AbortError"));
    clearTimeout(this.#end);
    await this.#loops;
    this.#settle();
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #keep(): Promise<void> {
    for (let failures = 0; !this.#isStopped;) {
      const { ttlMs } = this.#lease;
      const waitMs = failures === 0
        ? Math.min(ttlMs / 3, MAX_INTERVAL_MS) * (0.9 + Math.random() / 10)
        : backoffMs(failures, Math.min(ttlMs / 6, MAX_BACKOFF_MS));
      // What is in the way is not asked about again with each change that others make.
      const kick = failures === 0 ? this.#kick.signal : undefined;
      await pause(waitMs, this.#stop.signal, kick);
      if (this.#isStopped) return;
      this.#kick = new AbortController();
      using limit = new Limit(
        this.#stop.signal,
        Math.max(500, Math.min(ttlMs / 3, LIST_LIMIT_MS)),
      );
      try {
        await this.#renew(limit.signal);
        if (this.#renewProblem !== undefined) this.#back.abort();
        this.#renewProblem = undefined;
        failures = this.#lost === undefined ? 0 : failures + 1;
      } catch (error) {
        if (this.#isStopped) return;
        this.#renewProblem = limit.isOver
          ? `${this.#store.description}: ${messageOf(error)}`
          : messageOf(error);
        failures++;
        // It may be that nothing comes any more from there.
        if (limit.isOver || isStoreError(error, "unreachable")) {
          this.#watching.abort(
            new StoreError("unreachable", this.#renewProblem),
          );
        }
      }
      this.#settle();
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const askedAt = uptimeMs();
    const lease = await this.#store.renew(this.#lease, { signal });
    if (lease !== undefined && this.#isOwn(this.roster)) {
      return this.#hold(lease, askedAt);
    }
    if (lease === undefined) this.#missed();
    try {
      const basis = await this.#store.list({ signal });
      const found = new Roster(this.#place.settings);
      found.reset(basis);
      if (lease !== undefined && this.#isOwn(found)) {
        return this.#hold(lease, askedAt);
      }
      const problem = this.#obstacle(found, lease !== undefined);
      if (problem !== undefined) return this.#lose(problem);
      await this.#regain(basis, signal);
    } catch (error) {
      if (lease === undefined) this.#lose(messageOf(error));
      throw error;
    }
  }

  get #stored(): StoredMember | undefined {
    return this.roster.stored(this.#self.name);
  }

  /** Whether what is stored is this node as it is, by the lease that it has, and its networks are its own. */
  #isOwn(found: Roster): boolean {
    const { name, podCidrs } = this.#self;
    const stored = found.stored(name);
    const isStored = stored?.lease === undefined
      // A store that gives no lease does not take what nodes say of themselves either.
      ? stored !== undefined && this.#isGiven
      : stored.lease === this.#lease.id &&
        stored.text === writeMember(this.#self);
    return isStored && podCidrs.every((cidr) => found.owner(cidr) === name);
  }

  /** Whether the place is given by a store without leases. */
  get #isGiven(): boolean {
    return this.#lease.ttlMs === Infinity;
  }

  /** Asks for the place anew: the lease has ended, or what is stored is not this node, or not as it is. */
  async #regain(basis: StoreListing, signal: AbortSignal): Promise<void> {
    const { name, podCidrs } = this.#self;
    const text = writeMember(this.#self);
    this.#asked.add(text);
    const askedAt = uptimeMs();
    const lease = await this.#store.claim({
      name,
      text,
      podCidrs,
      settings: basis.settings?.text ?? this.#place.settingsText,
      basis,
    }, { signal });
    if (lease === undefined) {
      throw new StoreError("refused", "its place could not be had again yet");
    }
    this.#asked.clear();
    this.#hold(lease, askedAt);
  }

  /**
   * What is in the way of having the same place again.
   *
   * @param isThere its lease lasts: it goes by the settings that it has until it joins again
   */
  #obstacle(found: Roster, isThere: boolean): string | undefined {
    const { name, podCidrs } = this.#self;
    if (!isThere && found.settingsProblem !== undefined) {
      return "the cluster has other settings by now";
    }
    const stored = found.stored(name);
    const isOther = stored?.lease !== undefined &&
      stored.lease !== this.#lease.id && !this.#asked.has(stored.text);
    if (isOther) return `another node has the name "${name}" by now`;
    for (const podCidr of podCidrs) {
      const owner = found.owner(podCidr) ?? name;
      if (owner !== name && found.stored(owner) !== undefined) {
        return `node "${owner}" has ${podCidr} by now`;
      }
    }
    return this.#isGiven && stored !== undefined && !this.#isOwn(found)
      ? `it has other networks there by now than ${podCidrs.join(" and ")}`
      : undefined;
  }

  #hold(lease: Lease, askedAt: number): void {
    this.#lease = lease;
    this.#endsAtMs = askedAt + lease.ttlMs;
    this.#lost = undefined;
    this.#listener.onLease(lease, this.#endsAtMs);
  }

  #lose(reason: string): void {
    this.#lost = reason;
    this.#listener.onLease(this.#lease, 0, reason);
  }

  /** A lease has ended. When the watch has not told of it, the store is another by now, and the watch goes on in its middle. */
  #missed(): void {
    if (this.#stored?.lease !== this.#lease.id) return;
    this.#gap = this.#lasts ? "lost" : "gap";
    this.#watching.abort(
      new StoreError(this.#gap, `${this.#store.description} ended the lease`),
    );
  }

  async #follow(): Promise<void> {
    for (let failures = 0; !this.#isStopped;) {
      this.#watching = new AbortController();
      this.#back = new AbortController();
      const { signal } = this.#watching;
      const back = this.#back.signal;
      const start = performance.now();
      try {
        if (this.#gap !== undefined) await this.#relist(this.#gap);
        const updates = this.#store.watch(this.roster.revision, {
          signal: AbortSignal.any([this.#stop.signal, signal]),
        });
        for await (const update of updates) {
          this.#watchProblem = undefined;
          this.#settle();
          this.roster.apply(update);
          if (update.changes.length > 0) this.#notice(false);
        }
      } catch (error) {
        if (this.#isStopped) return;
        if (performance.now() - start > MAX_BACKOFF_MS) failures = 0;
        const gap = isStoreError(error, "gap", "lost") ? error.code : undefined;
        const isNew = gap !== undefined && failures === 0;
        this.#gap = gap ?? this.#gap;
        failures++;
        // It can be heard again at once; anything else is a state.
        if (isNew) continue;
        this.#watchProblem = messageOf(error);
        this.#settle();
      }
      await pause(backoffMs(failures, MAX_BACKOFF_MS), this.#stop.signal, back);
      // What answers again is asked at once, and soon once more.
      if (back.aborted) failures = 0;
    }
  }

  async #list(): Promise<StoreListing> {
    using limit = new Limit(this.#stop.signal, LIST_LIMIT_MS);
    return await this.#store.list({ signal: limit.signal });
  }

  async #relist(gap: StoreErrorCode): Promise<void> {
    this.roster.reset(await this.#list());
    this.#gap = undefined;
    // Its lease lasts, and it is not there: then it is the store that has lost something.
    this.#notice(
      gap === "lost" || (this.#stored === undefined && this.#lasts),
    );
  }

  /** Whether the lease has not ended, as far as this node knows. */
  get #lasts(): boolean {
    return this.#lost === undefined && uptimeMs() < this.#endsAtMs;
  }

  #notice(isDoubtful: boolean): void {
    if (!this.#isOwn(this.roster)) this.#kick.abort();
    this.#listener.onRoster(isDoubtful);
  }

  /** Finds out what state it is in, and tells when it is another one. */
  #settle(): void {
    clearTimeout(this.#end);
    const remaining = this.#endsAtMs - uptimeMs();
    if (!this.#isStopped && remaining > 0 && Number.isFinite(remaining)) {
      this.#end = setTimeout(
        () => this.#settle(),
        Math.min(remaining + 1, MAX_TIMER_MS),
      );
    }
    const state = this.#isStopped
      ? "left"
      : this.#lost !== undefined || remaining <= 0
      ? "expired"
      : this.#reason() !== undefined
      ? "disconnected"
      : "ready";
    if (state === this.#state) return;
    this.#state = state;
    this.#since = new Date();
    this.#listener.onState(this.status);
  }

  #reason(): string | undefined {
    return this.#lost ?? this.#renewProblem ?? this.#watchProblem;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

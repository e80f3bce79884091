/**
 * Mends a node as soon as something of it is undone.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/fd.ts";
import { eventFd, pollAsync, signalEventFd } from "../../ffi/socket.ts";
import { SandboxError } from "../errors.ts";
import { repairNode, type Scope } from "./check.ts";
import type { NodeContext } from "./context.ts";
import { type Finding, keyOf } from "./finding.ts";
import { Pacer } from "./pacer.ts";
import { Restraint } from "./restraint.ts";
import { type Suspects, Suspicion } from "./suspicion.ts";

/** What comes within this time is looked at together: a flush is many messages. */
const GATHER_MS = 20;
/** Somebody who works on a sandbox for longer is not waited for: it is looked at again later. */
const BUSY_MS = 50;
/** Up to this many sandboxes are looked at one by one, and all of them when there are more. */
const MAX_SINGLE = 500;

/** All that there is. */
const EVERYTHING: Scope = {};
/** What belongs to no single sandbox, and all elements, whose owner may be anybody. */
const TABLE_AND_NODE: Scope = { wiring: false };

/** What a watchman tells. */
export type Report =
  /** Everything was looked at once, and what could be mended is. */
  | { readonly ready: true }
  /** It is as it should be again. */
  | { readonly repaired: Finding }
  /** It is not mended, and only people can, or it says why it failed. */
  | { readonly unrepaired: Finding }
  /** It was mended this often, and somebody keeps undoing it: it is left alone for a while. */
  | {
    readonly contested: Finding;
    readonly repairs: number;
    readonly retryInMs: number;
  };

/** Looks at a node when something happens, and now and then. */
export class Watchman implements AsyncDisposable {
  readonly #context: NodeContext;
  readonly #tell: (report: Report) => void;
  readonly #pollMs: number;
  readonly #suspicion: Suspicion;
  readonly #wake: OwnedFd;
  readonly #restraint = new Restraint();
  /** What was told and is still so, so that it is told once. */
  #told = new Set<string>();
  /** What was left alone for a while. */
  readonly #due = new Map<
    string,
    { readonly at: number; readonly scope: Scope }
  >();
  #lastFull = -Infinity;
  #ending = false;
  #hasEnded = false;
  readonly #done: Promise<void>;

  /**
   * Begins at once.
   *
   * @param pollMs how often everything is looked at although nothing happened; 0 for never
   */
  constructor(
    context: NodeContext,
    tell: (report: Report) => void,
    pollMs: number,
  ) {
    using owned = new DisposableStack();
    this.#context = context;
    this.#tell = tell;
    this.#pollMs = pollMs;
    this.#suspicion = owned.use(new Suspicion(context));
    this.#wake = owned.use(eventFd());
    const kept = owned.move();
    this.#done = this.#run().finally(() => {
      this.#hasEnded = true;
      kept.dispose();
    });
    // Whoever asks for it hears of a failure; it is no failure of anybody else.
    this.#done.catch(() => {});
  }

  /** Whether it has ceased to watch, for whatever reason. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Ends with the watchman: rejects when it cannot go on, as when the node was taken down. */
  get done(): Promise<void> {
    return this.#done;
  }

  /** Ends what it is at, and no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    if (!this.#hasEnded) signalEventFd(this.#wake);
    await this.#done.catch(() => {});
  }

  async #run(): Promise<void> {
    await this.#look({ all: true, node: true, ids: new Set() });
    this.#tell({ ready: true });
    while (!this.#ending) {
      const { route, nft } = this.#suspicion;
      await pollAsync([route.fd, nft.fd, this.#wake], this.#timeout());
      if (this.#ending) return;
      await pollAsync([this.#wake], GATHER_MS);
      this.#suspicion.drain();
      await this.#look(this.#suspicion.take());
    }
  }

  /** Until something is due, in milliseconds; -1 when nothing will be. */
  #timeout(): number {
    const due = [
      ...[...this.#due.values()].map(({ at }) => at),
      ...this.#pollMs > 0 ? [this.#lastFull + this.#pollMs] : [],
    ];
    return due.length === 0
      ? -1
      : Math.max(0, Math.ceil(Math.min(...due) - performance.now()));
  }

  async #look({ all, node, ids }: Suspects): Promise<void> {
    this.#refuseStale();
    const { state } = this.#context;
    const now = performance.now();
    const due = [...this.#due].filter(([, { at }]) => at <= now);
    for (const [key] of due) this.#due.delete(key);
    const scopes = due.map(([, { scope }]) => scope);
    const single = new Set([
      ...ids,
      ...scopes.flatMap((scope) => scope.ids ?? []),
    ]);
    // Those that were removed are many, and nothing is to be looked at.
    const known = [...single].filter((id) => state.hasSandbox(id));
    if (
      all || known.length > MAX_SINGLE ||
      scopes.some((s) => s === EVERYTHING) ||
      this.#pollMs > 0 && now >= this.#lastFull + this.#pollMs
    ) {
      this.#lastFull = now;
      return await this.#repair(EVERYTHING);
    }
    if (node || scopes.some((scope) => scope === TABLE_AND_NODE)) {
      await this.#repair(TABLE_AND_NODE);
    }
    if (known.length > 0) await this.#repair({ ids: known, node: false });
  }

  /** The node may have been taken down, or set up again in another way: then it is not this one's to mend. */
  #refuseStale(): void {
    const { state, settings } = this.#context;
    const known = state.readNode();
    if (JSON.stringify(known) === JSON.stringify(settings)) return;
    const { name, stateDir } = state;
    throw new SandboxError("NodeNotFound", { name, stateDir });
  }

  async #repair(scope: Scope): Promise<void> {
    const busy: string[] = [];
    const { mended, remaining } = await repairNode(this.#context, {
      ...scope,
      allows: (finding) => {
        const now = performance.now();
        return this.#restraint.dueAt(finding, now) <= now;
      },
      // What comes meanwhile is read in time, however long this takes.
      pacer: new Pacer(() => this.#suspicion.drain()),
      lockTimeoutMs: BUSY_MS,
      onBusy: (id) => busy.push(id),
      isEnded: () => this.#ending,
    });
    const now = performance.now();
    for (const finding of mended) {
      this.#restraint.note(finding, now);
      this.#tell({ repaired: finding });
    }
    for (const id of busy) {
      this.#due.set(`busy ${id}`, {
        at: now + BUSY_MS,
        scope: { ids: [id], node: false },
      });
    }
    this.#tellRemaining(remaining, scope, now);
  }

  /** Tells each once, for as long as it is so. */
  #tellRemaining(
    remaining: readonly Finding[],
    scope: Scope,
    now: number,
  ): void {
    // What was not looked at may still be so.
    const told = new Set(scope === EVERYTHING ? [] : this.#told);
    for (const finding of remaining) {
      const key = keyOf(finding);
      const at = this.#restraint.dueAt(finding, now);
      const isContested = finding.repairable && at > now;
      if (isContested) this.#due.set(key, { at, scope });
      told.add(key);
      if (this.#told.has(key)) continue;
      const repairs = this.#restraint.repairsOf(finding, now);
      this.#tell(
        isContested
          ? { contested: finding, repairs, retryInMs: Math.ceil(at - now) }
          : { unrepaired: finding },
      );
    }
    this.#told = told;
  }
}

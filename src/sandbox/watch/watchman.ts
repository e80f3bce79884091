/**
 * Mends a node as soon as something of it is undone.
 *
 * @module
 */
import { pollAsync } from "../../../ffi/poll.ts";
import { isSandboxError } from "../../errors.ts";
import { repairNode, type Scope } from "../check/check.ts";
import type { NodeContext } from "../node/context.ts";
import { type Finding, keyOf, sandboxOf } from "../node/finding.ts";
import { refuseStaleNode } from "../node/node_settings.ts";
import { Pacer } from "../node/pacer.ts";
import { explained } from "../node/permission.ts";
import { Restraint } from "./restraint.ts";
import { type Suspects, Suspicion } from "./suspicion.ts";

/** What comes within this time is looked at together: a flush is many messages. */
const GATHER_MS = 20;
/** Somebody who works on a sandbox for longer is not waited for: it is looked at again later. */
const BUSY_MS = 50;
/** After a look that failed, the next one comes this much later, then twice as late each time. */
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;
/** Up to this many sandboxes are looked at one by one, and all of them when there are more. */
const MAX_SINGLE = 500;

/** All that there is. */
const EVERYTHING: Scope = {};
/** What belongs to no single sandbox, and all elements, whose owner may be anybody. */
const TABLE_AND_NODE: Scope = { wiring: false };

/** What belongs to no sandbox at all, whose look does not grow with their number. */
const RULES_AND_NODE: Scope = { ids: [], wiring: false };

const ALL_SUSPECT: Suspects = {
  all: true,
  node: true,
  rules: true,
  ids: new Set(),
};

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
  readonly #ending = new AbortController();
  readonly #restraint = new Restraint();
  /** What was told and is still so, so that it is told once. */
  #told = new Set<string>();
  /** What was left alone for a while. */
  readonly #due = new Map<
    string,
    { readonly at: number; readonly scope: Scope }
  >();
  #lastFull = -Infinity;
  /** Looks that failed in a row. */
  #failures = 0;
  #isReady = false;
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

  /**
   * Ends with the watchman: rejects with `NodeNotFound` when the node was taken down, with `NodeConflict` when it was set up
   * again in another way, and with `NodeClosed`.
   */
  get done(): Promise<void> {
    return this.#done;
  }

  /** Ends what it is at, and no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#done.catch(() => {});
  }

  async #run(): Promise<void> {
    await this.#try(() => this.#look(ALL_SUSPECT));
    const { signal } = this.#ending;
    // When the node is closed it looks once more, and hears of it.
    const wake = AbortSignal.any([signal, this.#context.state.closed]);
    while (!signal.aborted) {
      const { route, nft } = this.#suspicion;
      // After a failure everything is looked at, whatever comes meanwhile.
      const isFailing = this.#failures > 0;
      await pollAsync(
        isFailing ? [] : [route.fd, nft.fd],
        isFailing ? retryAfter(this.#failures) : this.#timeout(),
        wake,
      );
      if (signal.aborted) return;
      await pollAsync([], GATHER_MS, wake);
      await this.#try(async () => {
        this.#suspicion.drain();
        const suspects = this.#suspicion.take();
        await this.#look(isFailing ? ALL_SUSPECT : suspects);
      });
    }
  }

  /** What fails may pass, such as want of descriptors, or somebody who sits on a lock; that the node is gone, or closed, does not. */
  async #try(look: () => Promise<void>): Promise<void> {
    try {
      await explained(this.#context.state, look);
      this.#failures = 0;
      if (this.#isReady || this.#ending.signal.aborted) return;
      this.#isReady = true;
      this.#tell({ ready: true });
    } catch (error) {
      if (isGone(error)) throw error;
      this.#failures++;
      const finding: Finding = {
        object: `node ${this.#context.state.name}`,
        problem: "could not be looked at",
        remedy: "nothing: everything is looked at again before long",
        repairable: false,
        failure: error instanceof Error ? error.message : String(error),
      };
      // A look at everything that succeeds forgets that it was told.
      const key = keyOf(finding);
      if (this.#told.has(key)) return;
      this.#told.add(key);
      this.#tell({ unrepaired: finding });
    }
  }

  /** Until something is due, in milliseconds; -1 when nothing will be. */
  #timeout(): number {
    // What came during a look has been read, and no socket will tell of it again.
    if (!this.#suspicion.isEmpty) return 0;
    const due = [
      ...[...this.#due.values()].map(({ at }) => at),
      ...this.#pollMs > 0 ? [this.#lastFull + this.#pollMs] : [],
    ];
    return due.length === 0
      ? -1
      : Math.max(0, Math.min(...due) - performance.now());
  }

  async #look({ all, node, rules, ids }: Suspects): Promise<void> {
    refuseStaleNode(this.#context);
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
    } else if (rules || scopes.some((scope) => scope === RULES_AND_NODE)) {
      await this.#repair(RULES_AND_NODE);
    }
    if (known.length > 0) await this.#repair({ ids: known, node: false });
  }

  async #repair(scope: Scope): Promise<void> {
    const busy: string[] = [];
    const held = new Set<string>();
    const { mended, remaining } = await repairNode(this.#context, {
      ...scope,
      allows: (finding) => {
        const now = performance.now();
        const isDue = this.#restraint.dueAt(finding, now) <= now;
        if (!isDue) held.add(keyOf(finding));
        return isDue;
      },
      // What comes meanwhile is read in time, however long this takes.
      pacer: new Pacer(() => this.#suspicion.drain()),
      lockTimeoutMs: BUSY_MS,
      onBusy: (id) => busy.push(id),
      isEnded: () => this.#ending.signal.aborted,
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
    for (const finding of mended) this.#told.delete(keyOf(finding));
    const told = this.#toldOfOthers(scope, busy);
    this.#tellRemaining(remaining, told, scope, { now, held });
  }

  /** What was told of what was not looked at this time, and may still be so. */
  #toldOfOthers(scope: Scope, busy: readonly string[]): Set<string> {
    if (this.#told.size === 0) return new Set();
    const passedOver = this.#namesOf(busy);
    const chosen = scope.ids && this.#namesOf(scope.ids);
    const isLookedAt = (sandbox: string) =>
      scope !== RULES_AND_NODE && !passedOver.has(sandbox) &&
      (chosen?.has(sandbox) ?? (scope !== TABLE_AND_NODE || sandbox === ""));
    return new Set(
      [...this.#told].filter((key) => !isLookedAt(sandboxOf(key))),
    );
  }

  /** What findings may call these sandboxes: by their names, or by their ids when there is no record. */
  #namesOf(ids: readonly string[]): ReadonlySet<string> {
    return new Set(ids.flatMap((id) => {
      const spec = this.#context.state.readableSandbox(id)?.spec;
      return spec === undefined ? [id] : [id, `${spec.namespace}/${spec.name}`];
    }));
  }

  /**
   * Tells each once, for as long as it is so. What was held back is contested, also when it is due by now: the look may have
   * taken longer than was left, and it is looked at once more then.
   */
  #tellRemaining(
    remaining: readonly Finding[],
    told: Set<string>,
    scope: Scope,
    { now, held }: { readonly now: number; readonly held: ReadonlySet<string> },
  ): void {
    for (const finding of remaining) {
      const key = keyOf(finding);
      const at = this.#restraint.dueAt(finding, now);
      const isContested = held.has(key) || finding.repairable && at > now;
      if (isContested) this.#due.set(key, { at, scope });
      told.add(key);
      if (this.#told.has(key)) continue;
      const repairs = this.#restraint.repairsOf(finding, now);
      this.#tell(
        isContested
          ? {
            contested: finding,
            repairs,
            retryInMs: Math.max(1, Math.ceil(at - now)),
          }
          : { unrepaired: finding },
      );
    }
    this.#told = told;
  }
}

function isGone(error: unknown): boolean {
  return isSandboxError(error, "NodeNotFound") ||
    isSandboxError(error, "NodeConflict") ||
    isSandboxError(error, "NodeClosed");
}

function retryAfter(failures: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), MAX_RETRY_MS);
}

/**
 * Paths follow who is there: many changes in a row become one pass.
 *
 * @module
 */
import { uptimeMs } from "../../ffi/process.ts";
import { inTurns } from "../steps.ts";
import type { Finding } from "../sandbox/node/finding.ts";
import type { ClusterMember } from "./member.ts";
import { isSameMember } from "./record.ts";
import type { RefusedMember, Roster } from "./roster.ts";
import { backoffMs } from "./wait.ts";

/** What programs the kernel. */
export interface Paths {
  /** Makes the kernel have paths to these members' pods, and to nobody else's. */
  apply(
    self: ClusterMember,
    members: readonly ClusterMember[],
  ): Promise<{
    /** In plain words. */
    readonly changes: readonly string[];
    /** Members without a path, or without a whole one. */
    readonly refused: readonly {
      readonly member: string;
      readonly reason: string;
    }[];
  }>;
  /** Looks at everything, and mends what somebody has undone. */
  repair(): Promise<{ readonly mended: readonly Finding[] }>;
  /** Tells when somebody may have undone something; without it, that is found when everything is looked at. */
  watch?(tell: () => void): AsyncDisposable;
}

/** What a pass found. */
export interface Pass {
  /** Who came. */
  readonly joined: readonly ClusterMember[];
  /** Who says something else of itself. */
  readonly changed: readonly ClusterMember[];
  /** Names of those who went. */
  readonly left: readonly string[];
  /** Who is refused by now, and was not for this reason. */
  readonly refused: readonly RefusedMember[];
  /** What changed in the kernel, in plain words. */
  readonly changes: readonly string[];
  /** Why paths could not be made; then they are tried again. */
  readonly failure?: unknown;
}

/** The first pass after a change is made at once, and then none for so long, or for three times as long as it took. */
const PAUSE_MS = 50;
/** What takes longer is a pass over everybody, which is rare. */
const MAX_PAUSE_MS = 2000;
const MAX_BACKOFF_MS = 10_000;
/** How often paths are looked at although nothing has changed. */
const CHECK_MS = 30_000;
/** A look at everything is rarer when that takes more than a twentieth of the time. */
const LOOK_SHARE = 20;
/** How long members that a store has lost with everything else have to come back. */
const DOUBT_MS = 10_000;

/** Keeps paths as they should be. */
export class PathKeeper {
  readonly #roster: Roster;
  readonly #self: () => ClusterMember;
  readonly #paths: Paths;
  readonly #onPass: (pass: Pass) => void;
  #others: ReadonlyMap<string, ClusterMember> = new Map();
  #members: readonly ClusterMember[] = [];
  #refused: readonly RefusedMember[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueAtMs = Infinity;
  #restUntilMs = 0;
  #doubtUntilMs = 0;
  #failures = 0;
  // The first pass compares all with the kernel.
  #lookedAtMs = performance.now();
  #lookMs = 0;
  #isStopped = false;
  #isDisturbed = false;
  #watch: AsyncDisposable | undefined;
  /** The pass that is being made. */
  #running: Promise<Pass> | undefined;

  /** Does nothing yet. */
  constructor(parts: {
    readonly roster: Roster;
    self(): ClusterMember;
    readonly paths: Paths;
    onPass(pass: Pass): void;
  }) {
    this.#roster = parts.roster;
    this.#self = () => parts.self();
    this.#paths = parts.paths;
    this.#onPass = (pass) => parts.onPass(pass);
  }

  /** Who is there, as of the last pass. */
  get members(): readonly ClusterMember[] {
    return this.#members;
  }

  /** Who is refused, and why, as of the last pass. */
  get refused(): readonly RefusedMember[] {
    return this.#refused;
  }

  /** The roster has changed; see `MembershipListener.onRoster`. */
  notice(isDoubtful: boolean): void {
    if (isDoubtful) this.#doubtUntilMs = uptimeMs() + DOUBT_MS;
    this.#passIn(Math.max(0, this.#restUntilMs - performance.now()));
  }

  /** A pass now. None is made by itself before the first one. */
  async pass(): Promise<Pass> {
    await this.#running;
    const pass = await this.#run(false);
    this.#listen();
    return pass;
  }

  /** From now on what somebody undoes is mended soon. */
  #listen(): void {
    this.#watch ??= this.#paths.watch?.(() => {
      this.#isDisturbed = true;
      this.notice(false);
    });
  }

  /** No more passes; paths stay as they are. Resolves when what is being done is done. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#dueAtMs = Infinity;
    await this.#running;
    await this.#watch?.[Symbol.asyncDispose]();
    this.#watch = undefined;
  }

  /** Passes again after {@linkcode PathKeeper.stop}. */
  resume(): void {
    this.#isStopped = false;
    this.#listen();
    this.notice(false);
  }

  /** @param looks also whether somebody has undone something */
  #run(looks: boolean): Promise<Pass> {
    clearTimeout(this.#timer);
    this.#dueAtMs = Infinity;
    const start = performance.now();
    const isDisturbed = this.#isDisturbed;
    this.#isDisturbed = false;
    this.#running = this.#make(looks || isDisturbed).then((pass) => {
      this.#running = undefined;
      const end = performance.now();
      const pauseMs = Math.min(3 * (end - start), MAX_PAUSE_MS);
      this.#restUntilMs = end + Math.max(PAUSE_MS, pauseMs);
      // What was noticed meanwhile comes first.
      const next = Number.isFinite(this.#dueAtMs)
        ? this.#restUntilMs - end
        : this.#nextMs();
      this.#dueAtMs = Infinity;
      this.#passIn(next);
      this.#onPass(pass);
      return pass;
    });
    return this.#running;
  }

  async #make(looks: boolean): Promise<Pass> {
    const view = await inTurns(this.#roster.view());
    const members = this.#withDoubtful(view.members);
    const difference = this.#difference(members);
    let changes: readonly string[] = [];
    let refused: readonly RefusedMember[] = view.refused;
    let failure: unknown;
    try {
      const report = await this.#paths.apply(this.#self(), members);
      changes = report.changes;
      refused = [
        ...view.refused,
        ...report.refused.map(({ member: name, reason }) => ({ name, reason })),
      ];
      if (looks) {
        const start = performance.now();
        const { mended } = await this.#paths.repair();
        this.#lookedAtMs = performance.now();
        this.#lookMs = this.#lookedAtMs - start;
        changes = [
          ...changes,
          ...mended.map(({ object }) => `mended ${object}`),
        ];
      }
      this.#failures = 0;
    } catch (error) {
      failure = error;
      this.#failures++;
    }
    const before = new Set(this.#refused.map(textOf));
    this.#members = members;
    this.#refused = refused;
    return {
      ...difference,
      refused: refused.filter((one) => !before.has(textOf(one))),
      changes,
      ...failure !== undefined && { failure },
    };
  }

  #nextMs(): number {
    const doubt = this.#doubtUntilMs - uptimeMs();
    const retry = this.#failures > 0
      ? backoffMs(this.#failures, MAX_BACKOFF_MS)
      : CHECK_MS;
    return doubt > 0 ? Math.min(doubt + 1, retry) : retry;
  }

  #passIn(ms: number): void {
    const due = performance.now() + ms;
    if (this.#isStopped || due >= this.#dueAtMs) return;
    clearTimeout(this.#timer);
    this.#dueAtMs = due;
    // While one is being made, it is enough to know that another one is due.
    if (this.#running !== undefined) return;
    this.#timer = setTimeout(() => void this.#run(this.#isLookDue()), ms);
  }

  /** However much changes: what others undo is looked for now and then. */
  #isLookDue(): boolean {
    const every = Math.max(CHECK_MS, LOOK_SHARE * this.#lookMs);
    return performance.now() - this.#lookedAtMs >= every;
  }

  /** With those who were there before, while it is not known whether they have gone. */
  #withDoubtful(members: readonly ClusterMember[]): readonly ClusterMember[] {
    if (uptimeMs() >= this.#doubtUntilMs) return members;
    const names = new Set(members.map(({ name }) => name));
    return [
      ...members,
      ...this.#members.filter(({ name }) => !names.has(name)),
    ];
  }

  #difference(
    members: readonly ClusterMember[],
  ): Pick<Pass, "joined" | "changed" | "left"> {
    const before = this.#others;
    const own = this.#self().name;
    const others = members.filter(({ name }) => name !== own);
    const now = new Map(others.map((one) => [one.name, one]));
    this.#others = now;
    return {
      joined: others.filter(({ name }) => !before.has(name)),
      changed: others.filter((one) => {
        const known = before.get(one.name);
        return known !== undefined && !isSameMember(known, one);
      }),
      left: [...before.keys()].filter((name) => !now.has(name)),
    };
  }
}

function textOf({ name, reason }: RefusedMember): string {
  return `${name} ${reason}`;
}

/**
 * Compares a node and its sandboxes with the kernel, and mends what differs. Each difference carries its own remedy, so
 * that what is told and what is done cannot drift apart.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import { mountPropagation, shareMounts } from "../../namespace/pin.ts";
import { isAlive } from "../node/alive.ts";
import { baselineDifferences } from "../node/baseline.ts";
import type { NodeContext } from "../node/context.ts";
import {
  type Difference,
  difference,
  type Finding,
  findingOf,
  keyOf,
  type Repair,
} from "../node/finding.ts";
import { refuseStaleNode } from "../node/node_settings.ts";
import { refuseForeignTable } from "../node/node_table.ts";
import { attachmentDifferences } from "../networks/network_check.ts";
import { Pacer } from "../node/pacer.ts";
import { hasNetworks } from "../records/network_notes.ts";
import type { SandboxRecord } from "../records/records.ts";
import { linksOfSandboxes, strayLinks } from "../node/stray_links.ts";
import { sandboxDifferences } from "./sandbox_check.ts";
import {
  elementDifferences,
  isStillSo,
  mendTable,
  ruleDifferences,
  setDifferences,
  type TableDifference,
} from "./table_check.ts";

/** What to compare. */
export interface Scope {
  /**
   * Ids of the sandboxes.
   * @default all, and what belongs to none
   */
  readonly ids?: readonly string[];
  /**
   * Also the node itself.
   * @default true
   */
  readonly node?: boolean;
  /**
   * Also what of a sandbox is not in the table.
   * @default true
   */
  readonly wiring?: boolean;
}

/** How to mend. */
export interface RepairOptions extends Scope {
  /**
   * What may be mended.
   * @default everything
   */
  readonly allows?: (finding: Finding) => boolean;
  /** Where the event loop gets its turn, so that other work can be done. */
  readonly pacer?: Pacer;
  /**
   * How long others may be at work on a sandbox, in milliseconds.
   * @default as long as any lock
   */
  readonly lockTimeoutMs?: number;
  /**
   * Told of each sandbox that others were at work on for longer.
   * @default it is something that remains
   */
  readonly onBusy?: (id: string) => void;
  /** Whether to leave the rest as it is. */
  readonly isEnded?: () => boolean;
}

/** Compares; changes nothing. The event loop runs all the while. */
export async function checkNode(
  context: NodeContext,
  scope: Scope = {},
): Promise<Finding[]> {
  const pacer = new Pacer();
  const { state } = context;
  const found: Difference[] = [];
  {
    using _node = await state.lock("shared");
    refuseStaleNode(context);
    refuseForeignTable(context);
    if (scope.node ?? true) found.push(...nodeDifferences(context));
  }
  found.push(...await tableDifferences(context, scope, pacer));
  using _node = await state.lock("shared");
  const links = scope.ids === undefined ? linksOfSandboxes(context) : undefined;
  for (const id of scope.ids ?? state.sandboxIds()) {
    await pacer.pause();
    found.push(
      ...await underLock(context, id, {}, async () => [
        ...differencesOf(context, id),
        ...strayLinks(context, id, links?.get(id) ?? []),
        ...await attachmentsOf(context, id),
      ]),
    );
  }
  return found.map(findingOf);
}

/** How often what was mended is looked at again: what is mended may show what it had hidden. */
const ROUNDS = 4;

/**
 * Compares and mends. Connections that still work are not disturbed. What cannot be mended does not keep the rest from it.
 *
 * All of the table is mended in one transaction, with the node locked for as long as that takes; the rest, one sandbox after
 * the other.
 */
export async function repairNode(
  context: NodeContext,
  options: RepairOptions = {},
): Promise<Repair> {
  const { state } = context;
  const { pacer = new Pacer() } = options;
  const ledger = new Ledger(options.allows);
  {
    using _node = await state.lock("shared");
    refuseStaleNode(context);
    refuseForeignTable(context);
    if (options.node ?? true) {
      // First, since routes go with the addresses that they have as their source.
      ledger.mend(() => nodeDifferences(context));
    }
  }
  await mendShared(context, options, ledger, pacer);
  if (!(options.wiring ?? true)) return ledger.result();
  using _node = await state.lock("shared");
  const links = options.ids === undefined
    ? linksOfSandboxes(context)
    : undefined;
  for (const id of options.ids ?? state.sandboxIds()) {
    await pacer.pause();
    if (options.isEnded?.()) break;
    ledger.add(
      await underLock(context, id, options, () => {
        ledger.mend(() => differencesOf(context, id));
        ledger.mendOnce(strayLinks(context, id, links?.get(id) ?? []));
        return attachmentsOf(context, id);
      }),
    );
  }
  return ledger.result();
}

/** What is mended with the node locked: the table, and the mount that pins are below. */
async function mendShared(
  context: NodeContext,
  options: RepairOptions,
  ledger: Ledger,
  pacer: Pacer,
): Promise<void> {
  const { state } = context;
  const isLost = (options.node ?? true) && mountDifferences(context).length > 0;
  const suspects = await suspectTable(context, options, pacer);
  if (!isLost && suspects.length === 0) return;
  using _node = await state.lock("exclusive");
  if (isLost) ledger.mend(() => mountDifferences(context));
  const found = await confirmedTable(context, options, pacer);
  ledger.mendTogether(found, (chosen) => mendTable(context, chosen));
}

/** What was found, what was mended of it, and what is left. */
class Ledger {
  readonly #allows: (finding: Finding) => boolean;
  readonly #mended = new Map<string, Finding>();
  readonly #remaining = new Map<string, Finding>();

  constructor(allows: (finding: Finding) => boolean = () => true) {
    this.#allows = allows;
  }

  /** Notes what cannot be mended here. */
  add(found: readonly Difference[]): void {
    for (const one of found) this.#remaining.set(keyOf(one), findingOf(one));
  }

  /**
   * Mends what `find` finds until it finds nothing new. Found again, a thing was not mended; what is not found again is as it
   * should be, if only because something else was mended.
   */
  mend(find: () => readonly Difference[]): void {
    const known = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      const found = find();
      const left = new Set(found.map(keyOf));
      for (const key of known) {
        const finding = this.#remaining.get(key);
        if (left.has(key) || finding === undefined) continue;
        const { failure: _, ...mended } = finding;
        this.#mended.set(key, mended);
        this.#remaining.delete(key);
      }
      let isChanged = false;
      for (const one of found) {
        const key = keyOf(one);
        if (known.has(key)) continue;
        known.add(key);
        this.#remaining.set(key, findingOf(one));
        if (one.mend === undefined || !this.#allows(one)) continue;
        isChanged = true;
        const failure = failureOf(one.mend);
        this.#remaining.set(key, {
          ...findingOf(one),
          failure: failure ?? "it is still so after repair",
        });
      }
      if (!isChanged) return;
    }
  }

  /** Mends without looking again. */
  mendOnce(found: readonly Difference[]): void {
    for (const one of found) {
      this.mendTogether([one], () => one.mend?.());
    }
  }

  /** Mends all of it, or none. */
  mendTogether<D extends Difference>(
    found: readonly D[],
    mend: (chosen: readonly D[]) => void,
  ): void {
    const chosen = found.filter((one) => one.repairable && this.#allows(one));
    const failure = chosen.length === 0
      ? undefined
      : failureOf(() => mend(chosen));
    for (const one of found) {
      const finding = findingOf(one);
      if (!chosen.includes(one)) this.#remaining.set(keyOf(one), finding);
      else if (failure === undefined) this.#mended.set(keyOf(one), finding);
      else this.#remaining.set(keyOf(one), { ...finding, failure });
    }
  }

  result(): Repair {
    return {
      mended: [...this.#mended.values()],
      remaining: [...this.#remaining.values()],
    };
  }
}

function failureOf(mend: () => void): string | undefined {
  try {
    mend();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function nodeDifferences(context: NodeContext): Difference[] {
  return baselineDifferences(context).map(({ object, problem, mend }) =>
    difference(undefined, object, problem, { does: "puts it right", mend })
  );
}

/** Mended only while nobody pins. */
function mountDifferences({ state }: NodeContext): Difference[] {
  const { directory } = state;
  const found = mountPropagation(directory);
  if (found === "shared") return [];
  const [problem, does] = found === undefined
    ? ["is gone", "mounts it again"]
    : ["is private, so containers keep pins that are removed", "shares it"];
  return [
    difference(undefined, `mount ${directory}`, problem, {
      does,
      mend: () => shareMounts(directory),
    }),
  ];
}

/** What is wrong with the table for certain. Only a suspicion makes everybody wait. */
async function tableDifferences(
  context: NodeContext,
  scope: Scope,
  pacer: Pacer,
): Promise<Difference[]> {
  const { state } = context;
  const mounts = scope.node ?? true ? mountDifferences(context) : [];
  const suspects = await suspectTable(context, scope, pacer);
  if (suspects.length === 0) return mounts;
  using _node = await state.lock("exclusive");
  return [...mounts, ...await confirmedTable(context, scope, pacer)];
}

/** As {@linkcode confirmedTable}, while others are at work: what they have half done shows up too. */
async function suspectTable(
  context: NodeContext,
  scope: Scope,
  pacer: Pacer,
): Promise<TableDifference[]> {
  using _node = await context.state.lock("shared");
  const found = await confirmedTable(context, scope, pacer);
  // One is enough: all are looked at again while nobody is at work.
  return found.some((one) => isStillSo(context, one)) ? found : [];
}

/** The differences of the table, while nobody works on a sandbox. */
async function confirmedTable(
  context: NodeContext,
  { ids, node = true }: Scope,
  pacer: Pacer,
): Promise<TableDifference[]> {
  const { state } = context;
  const rules = node ? ruleDifferences(context) : [];
  const records: SandboxRecord[] = [];
  const unjudged = new Set<string>();
  for (const id of ids ?? state.sandboxIds()) {
    await pacer.pause();
    const record = state.readableSandbox(id);
    if (record?.state === "ready" && isAlive(context, record)) {
      records.push(record);
    } else unjudged.add(id);
  }
  return [
    ...rules,
    ...ids === undefined
      ? await setDifferences(context, records, unjudged, pacer)
      : elementDifferences(context, records),
  ];
}

/** Looks at a sandbox while nobody else works on it: what another process is making is never half there. */
async function underLock(
  context: NodeContext,
  id: string,
  { lockTimeoutMs, onBusy }: RepairOptions,
  look: () => Promise<Difference[]>,
): Promise<Difference[]> {
  try {
    using lock = await context.state.lockSandbox(
      id,
      lockTimeoutMs === undefined ? {} : { timeoutMs: lockTimeoutMs },
    );
    return lock === undefined ? [] : await look(); // removed by now
  } catch (error) {
    if (!isSandboxError(error, "Timeout")) throw error;
    if (onBusy !== undefined) {
      onBusy(id);
      return [];
    }
    return [
      difference(id, "lock", "somebody is at work on it and does not end", {
        advice: error.message,
      }),
    ];
  }
}

/** Of a sandbox whose lock is held. */
function differencesOf(context: NodeContext, id: string): Difference[] {
  try {
    const record = context.state.readSandbox(id);
    if (record !== undefined) return sandboxDifferences(context, record);
    // A process was killed while it created or removed the sandbox.
    return [
      difference(id, "sandbox", "its creation or removal was cut short", {
        advice: "create it again, or collect garbage (podnet gc)",
      }),
    ];
  } catch (error) {
    if (!isSandboxError(error, "RecordInvalid")) throw error;
    return [
      difference(id, "record", error.context.reason, {
        advice: "collect garbage with force (podnet gc --force)",
      }),
    ];
  }
}

/** Of a sandbox whose lock is held, and whose record can be read: which is not done again for those that have none. */
async function attachmentsOf(
  context: NodeContext,
  id: string,
): Promise<Difference[]> {
  const { state } = context;
  if (!hasNetworks(state, id)) return [];
  const record = state.readableSandbox(id);
  return record === undefined
    ? []
    : await attachmentDifferences(context, record);
}

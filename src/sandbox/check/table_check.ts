/**
 * How the node's nf_tables table differs from what the node and its sandboxes should have in it, and the one transaction
 * that mends all of it.
 *
 * @module
 */
import { flushConntrack } from "../../conntrack/conntrack.ts";
import { bySet, elementsOf, type Placed } from "../../hostport/elements.ts";
import { translatedFlows } from "../../hostport/flows.ts";
import { isAsPlaced, retryOnNewGeneration } from "../../hostport/host_ports.ts";
import { ALL_SETS, TABLE } from "../../hostport/sets.ts";
import { formatKey } from "../../nftables/datatype.ts";
import { elementsWithout } from "../../nftables/element.ts";
import { differences, type LiveTable, sameSet } from "../../nftables/live.ts";
import type { NftablesConnection } from "../../nftables/connection.ts";
import type { Element, NftSet, Table } from "../../nftables/ruleset.ts";
import { Transaction } from "../../nftables/transaction.ts";
import {
  describeOwner,
  nodeAddresses,
  type NodeContext,
} from "../node/context.ts";
import { currentTable } from "../node/current_table.ts";
import { type Cure, type Difference, difference } from "../node/finding.ts";
import { isId } from "../records/identity.ts";
import type { Pacer } from "../node/pacer.ts";
import {
  hostPortsOf,
  portOwner,
  type SandboxRecord,
} from "../records/records.ts";
import { wholeTable } from "../node/table_rules.ts";

/** A difference of the table, and what of the transaction mends it: the rules, or an element. */
export interface TableDifference extends Difference {
  readonly rules?: true;
  readonly remove?: Placed;
  readonly add?: Placed;
}

/** What the kernel has under the key of an element. */
type Lookup = (placed: Placed) => Element | undefined;

/** Chains, rules, sets, and the networks in them; not what sandboxes have. */
export function ruleDifferences(context: NodeContext): TableDifference[] {
  const { sockets: { nft } } = context;
  const table = currentTable(context);
  const live = nft.readTable(TABLE);
  const problems = [
    ...differences(table, live),
    ...live === undefined ? [] : networkDifferences(nft, table),
  ];
  return problems.map((problem) => ({
    ...difference(undefined, `nf_tables table inet ${TABLE}`, problem, {
      does: "renews its rules, elements stay",
    }),
    rules: true,
  }));
}

/** Of the sets whose elements are the node's own and not sandboxes'. */
function networkDifferences(
  nft: NftablesConnection,
  table: Table,
): string[] {
  return table.sets.flatMap((set) => {
    const { elements } = set;
    if (elements === undefined) return [];
    const found = nft.listElements(TABLE, set);
    const text = ({ key }: Element) => formatKey(set.key, key);
    return [
      ...elementsWithout(elements, found).map((element) =>
        `set ${set.name} lacks ${text(element)}`
      ),
      ...elementsWithout(found, elements).map((element) =>
        `set ${set.name} has ${text(element)}, which is not the node's`
      ),
    ];
  });
}

/** Compares what sandboxes should have in the table, one element after the other. */
export function elementDifferences(
  context: NodeContext,
  records: readonly SandboxRecord[],
  lookup: Lookup = ({ set, element: { key } }) =>
    context.sockets.nft.getElement(TABLE, set, key),
): TableDifference[] {
  return records.flatMap((record) => {
    const { spec: { namespace, name } } = record;
    return wantedOf(record).flatMap((placed) => {
      const found = lookup(placed);
      if (isAsPlaced(found, placed)) return [];
      const differs = (problem: string, cure: Cure) =>
        difference(`${namespace}/${name}`, titleOf(placed), problem, cure);
      if (found === undefined) {
        return [{ ...differs("is missing", { does: "adds it" }), add: placed }];
      }
      const { comment } = found;
      if (comment !== record.id && isWantedBy(context, comment, placed)) {
        return [
          differs(
            `belongs to ${describeOwner(context, comment ?? "")}`,
            { advice: "take the port from one of them (podnet ports rm)" },
          ),
        ];
      }
      return [{
        ...differs(
          comment === record.id
            ? "leads elsewhere"
            : `belongs to ${comment ?? "nobody"}`,
          { does: "replaces it" },
        ),
        remove: { set: placed.set, element: found },
        add: placed,
      }];
    });
  });
}

/** Whether a sandbox has the same element by its record. */
function isWantedBy(
  { state }: NodeContext,
  id: string | undefined,
  { set, element }: Placed,
): boolean {
  if (id === undefined || !isId(id)) return false;
  const record = state.readableSandbox(id);
  return record !== undefined &&
    wantedOf(record).some((other) =>
      other.set.name === set.name && sameBytes(other.element.key, element.key)
    );
}

/** What a sandbox should have in the table. */
function wantedOf(record: SandboxRecord): Placed[] {
  return elementsOf(hostPortsOf(record), portOwner(record));
}

/**
 * Compares all sets as wholes with all sandboxes: also finds elements that nobody should have. The caller sees to it that
 * nobody works on a sandbox meanwhile, or takes what this finds for a suspicion.
 *
 * @param records of the sandboxes that are ready
 * @param unjudged ids of the sandboxes whose elements are left alone
 */
export async function setDifferences(
  context: NodeContext,
  records: readonly SandboxRecord[],
  unjudged: ReadonlySet<string>,
  pacer: Pacer,
): Promise<TableDifference[]> {
  const sound = soundSets(context, context.sockets.nft.readTable(TABLE));
  const present = new Map<string, Placed>();
  for (const set of ALL_SETS) {
    await pacer.pause();
    for (const placed of elementsOfSet(context, set, sound)) {
      present.set(keyOf(placed), placed);
    }
  }
  const found: TableDifference[] = [];
  const wanted = new Set<string>();
  for (const record of records) {
    await pacer.pause();
    found.push(
      ...elementDifferences(context, [record], (placed) => {
        wanted.add(keyOf(placed));
        return present.get(keyOf(placed))?.element;
      }),
    );
  }
  for (const key of wanted) present.delete(key);
  const names = new Map(
    records.map(({ id, spec }) => [id, `${spec.namespace}/${spec.name}`]),
  );
  for (const placed of present.values()) {
    const { comment } = placed.element;
    if (comment !== undefined && unjudged.has(comment)) continue;
    const sandbox = comment === undefined ? undefined : names.get(comment);
    found.push({
      ...difference(
        sandbox,
        titleOf(placed),
        sandbox === undefined
          ? `belongs to no sandbox (${comment ?? "no comment"})`
          : "is none that it should have",
        { does: "deletes it" },
      ),
      remove: placed,
    });
  }
  return found;
}

/** Looks at a difference again, since others may have been at work: a claim comes before its note, and goes before it. */
export function isStillSo(
  context: NodeContext,
  { rules, add, remove }: TableDifference,
): boolean {
  const placed = add ?? remove;
  if (rules || placed === undefined) return true;
  const { set, element: { key, comment } } = placed;
  const isThere = isAsPlaced(
    context.sockets.nft.getElement(TABLE, set, key),
    placed,
  );
  return isThere !== isWantedBy(context, comment, placed);
}

/** The sets that are as they should be; of others no element can be read. */
function soundSets(
  context: NodeContext,
  live: LiveTable | undefined,
): ReadonlySet<string> {
  return new Set(
    wholeTable(context).sets.filter((set) =>
      live?.sets.some((other) => other.name === set.name && sameSet(set, other))
    ).map(({ name }) => name),
  );
}

function elementsOfSet(
  { sockets: { nft } }: NodeContext,
  set: NftSet,
  sound: ReadonlySet<string>,
): Placed[] {
  if (!sound.has(set.name)) return [];
  return nft.listElements(TABLE, set).map((element) => ({ set, element }));
}

/** Mends what was found of elements, in one transaction. The rules must be in place. */
export function mendElements(
  context: NodeContext,
  found: readonly TableDifference[],
): void {
  mendTable(context, found.filter(({ rules }) => rules === undefined));
}

/**
 * Mends what was found, all in one transaction: the guard of the pods and their ports come back in the same moment. Only a
 * table that is dormant is woken before.
 *
 * @throws {NetlinkError}
 */
export function mendTable(
  context: NodeContext,
  found: readonly TableDifference[],
): void {
  const { sockets: { nft } } = context;
  const added = found.flatMap(({ add }) => add ?? []);
  const removed = found.flatMap(({ remove }) => remove ?? []);
  const renews = found.some(({ rules }) => rules);
  if (!renews && added.length === 0 && removed.length === 0) return;
  if (renews) nft.wakeTable(TABLE);
  retryOnNewGeneration((generation) => {
    const transaction = new Transaction();
    const live = nft.readTable(TABLE);
    const sound = soundSets(context, live);
    if (renews) renewRules(context, transaction, live, sound);
    // What others did since they were found is theirs.
    const isThere = (placed: Placed) =>
      sound.has(placed.set.name) &&
      isAsPlaced(nft.getElement(TABLE, placed.set, placed.element.key), placed);
    for (const [set, elements] of bySet(removed.filter(isThere))) {
      transaction.deleteElements(TABLE, set, elements);
    }
    const missing = added.filter((placed) => !isThere(placed));
    for (const [set, elements] of bySet(missing)) {
      transaction.addElements(TABLE, set, elements, { exclusive: true });
    }
    nft.commit(transaction, { generation });
  }, nft);
  forgetWrongFlows(context, added, removed);
}

/** Chains and rules anew. Elements, and so connections, stay, unless a set cannot hold them. */
function renewRules(
  context: NodeContext,
  transaction: Transaction,
  live: LiveTable | undefined,
  sound: ReadonlySet<string>,
): void {
  const table = currentTable(context);
  const isWrong = live?.sets.some(({ name }) =>
    !sound.has(name) && table.sets.some((set) => set.name === name)
  );
  if (live !== undefined && !isWrong) {
    const chains = live.chains.map(({ name }) => name);
    transaction.rebuildTable(table, chains);
    for (const set of table.sets) {
      if (set.elements === undefined) continue;
      transaction.flushSet(TABLE, set.name);
      transaction.addElements(TABLE, set, set.elements);
    }
    return;
  }
  const kept = ALL_SETS.flatMap((set) => elementsOfSet(context, set, sound));
  if (live !== undefined) transaction.deleteTable(TABLE);
  transaction.createTable(table);
  for (const [set, elements] of bySet(kept)) {
    transaction.addElements(TABLE, set, elements);
  }
}

/**
 * Datagrams go on for ever where they went first: those that an element led elsewhere, and those that came while there
 * was none. Flows that were right stay.
 */
function forgetWrongFlows(
  context: NodeContext,
  added: readonly Placed[],
  removed: readonly Placed[],
): void {
  const filters = removed.flatMap(translatedFlows);
  const flows = added.flatMap(translatedFlows);
  if (flows.length > 0) {
    const addresses = nodeAddresses(context);
    for (const flow of flows) {
      for (const address of addresses) {
        if (address.family !== flow.family) continue;
        const { originalDestination = address } = flow;
        if (!originalDestination.equals(address)) continue;
        // Answered by the node itself, so nothing was translated.
        filters.push({
          ...flow,
          originalDestination,
          replySource: originalDestination,
        });
      }
    }
  }
  flushConntrack(context.sockets.nft.netlink, filters);
}

function titleOf({ set, element: { key } }: Placed): string {
  return `element ${formatKey(set.key, key)} of set ${set.name}`;
}

function keyOf({ set, element: { key } }: Placed): string {
  return `${set.name} ${key.toHex()}`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.toHex() === b.toHex();
}

/**
 * Compares a node and its sandboxes with the kernel, and mends what differs. Each difference carries its own remedy, so
 * that what is told and what is done cannot drift apart.
 *
 * @module
 */
import { isSandboxError } from "../errors.ts";
import { TABLE } from "../hostport/ruleset.ts";
import { formatKey } from "../nftables/datatype.ts";
import { differences } from "../nftables/live.ts";
import type { Element } from "../nftables/ruleset.ts";
import { baselineDifferences } from "./baseline.ts";
import type { NodeContext } from "./context.ts";
import { rebuildTable, refuseForeignTable } from "./node_table.ts";
import {
  type Difference,
  type Finding,
  REPAIR,
  sandboxDifferences,
} from "./sandbox_check.ts";

/** Compares; changes nothing. */
export async function checkNode(context: NodeContext): Promise<Finding[]> {
  return await inspect(context, () => {});
}

/**
 * Compares and mends. Connections that still work are not disturbed.
 *
 * @returns what was mended
 *
 * What cannot be mended does not keep the rest from it; the first error is thrown at the end.
 */
export async function repairNode(context: NodeContext): Promise<Finding[]> {
  const failures: unknown[] = [];
  const found = await inspect(context, ({ mend }) => {
    try {
      mend?.();
    } catch (error) {
      failures.push(error);
    }
  });
  if (failures.length > 0) throw failures[0];
  return found.filter(({ remedy }) => remedy === REPAIR);
}

/** Each sandbox is looked at under its own lock, so what another process is making is never half there. */
async function inspect(
  context: NodeContext,
  visit: (difference: Difference) => void,
): Promise<Finding[]> {
  const { state } = context;
  using _node = await state.lock("shared");
  refuseForeignTable(context);
  const found: Finding[] = [];
  const report = (differences: readonly Difference[]) => {
    for (const difference of differences) {
      visit(difference);
      const { mend: _, ...finding } = difference;
      found.push(finding);
    }
  };
  report(nodeDifferences(context));
  for (const id of state.sandboxIds()) {
    using lock = await state.lockSandbox(id);
    if (lock !== undefined) report(differencesOf(context, id));
  }
  return found;
}

function nodeDifferences(context: NodeContext): Difference[] {
  const { sockets: { nft }, table } = context;
  const live = nft.readTable(TABLE);
  const rules = [
    ...differences(table, live),
    ...live === undefined ? [] : networkDifferences(context),
  ];
  return [
    ...baselineDifferences(context).map((difference) => ({
      ...difference,
      remedy: REPAIR,
    })),
    // All of them are mended in one transaction.
    ...rules.map((problem, i): Difference => ({
      object: `nf_tables table inet ${TABLE}`,
      problem,
      remedy: REPAIR,
      ...(i === 0 ? { mend: () => rebuildTable(context) } : {}),
    })),
  ];
}

/** Of the sets whose elements are the node's own and not sandboxes'. */
function networkDifferences(
  { sockets: { nft }, table }: NodeContext,
): string[] {
  return table.sets.flatMap((set) => {
    const { elements = [] } = set;
    const found = elements.length === 0 ? [] : nft.listElements(TABLE, set);
    return elements.filter((element) =>
      !found.some((other) => rangeOf(other) === rangeOf(element))
    ).map(({ key }) => `set ${set.name} lacks ${formatKey(set.key, key)}`);
  });
}

function rangeOf({ key, keyEnd = key }: Element): string {
  return `${key.toHex()}-${keyEnd.toHex()}`;
}

/** A directory without a record: a process was killed while it created or removed the sandbox. */
function cutShort(id: string): Difference {
  return {
    sandbox: id,
    object: "sandbox",
    problem: "its creation or removal was cut short",
    remedy: "create it again, or collect garbage (podnet gc)",
  };
}

function differencesOf(context: NodeContext, id: string): Difference[] {
  try {
    const record = context.state.readSandbox(id);
    return record === undefined
      ? [cutShort(id)]
      : sandboxDifferences(context, record);
  } catch (error) {
    if (!isSandboxError(error, "RecordInvalid")) throw error;
    return [{
      sandbox: id,
      object: "record",
      problem: error.context.reason,
      remedy: "collect garbage with force (podnet gc --force)",
    }];
  }
}

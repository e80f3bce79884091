/**
 * The node's table as it should be at this moment: its rules never change, what it knows of other nodes does.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import { isPeerSet, type NodePeers, withPeers } from "../../hostport/peers.ts";
import type { Table } from "../../nftables/ruleset.ts";
import type { NodeContext } from "./context.ts";
import { wholeTable } from "./table_rules.ts";

/** What the node knows of others; undefined when the record of it is damaged, until somebody tells anew. */
export function knownPeers(
  { state }: Pick<NodeContext, "state">,
): NodePeers | undefined {
  try {
    return state.peers.read();
  } catch (error) {
    if (isSandboxError(error, "RecordInvalid")) return undefined;
    throw error;
  }
}

/** Read anew each time, since any process may have changed it. What is not known is not touched where it is. */
export function currentTable(
  context: Pick<NodeContext, "table" | "state" | "settings" | "pools">,
): Table {
  const table = wholeTable(context);
  const peers = knownPeers(context);
  if (peers !== undefined) return withPeers(table, peers);
  return {
    ...table,
    sets: table.sets.map((set) => {
      const { elements: _, ...withoutElements } = set;
      return isPeerSet(set.name) ? withoutElements : set;
    }),
  };
}

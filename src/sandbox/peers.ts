/**
 * What a node knows of other nodes is changed: first in its record, from which any process makes, compares and mends the
 * table, then in the table.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { retryOnNewGeneration } from "../hostport/host_ports.ts";
import {
  NO_PEERS,
  type NodePeers,
  peerSets,
  samePeers,
} from "../hostport/peers.ts";
import { TABLE } from "../hostport/sets.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { nextGeneration } from "../nftables/connection.ts";
import { elementsWithout } from "../nftables/element.ts";
import { Transaction } from "../nftables/transaction.ts";
import { repairNode } from "./check.ts";
import type { NodeContext } from "./context.ts";
import { knownPeers } from "./current_table.ts";
import { refuseStaleNode } from "./node_settings.ts";
import { ensureTable, refuseForeignTable } from "./node_table.ts";

/** What was set last by an open node, and the generation of the ruleset right after. */
const last = new WeakMap<
  NodeContext,
  { readonly peers: NodePeers; readonly generation: number }
>();

/**
 * Notes what other nodes there are, and brings the table to it in one transaction. Safe beside everything else: a check or
 * repair that sees one without the other looks again while nobody shares the node's lock.
 *
 * @returns whether anything was changed
 * @throws {SandboxError} `NodeNotFound`, `NodeConflict`
 */
export async function setPeers(
  context: NodeContext,
  peers: NodePeers,
): Promise<boolean> {
  try {
    return await change(context, peers);
  } catch (error) {
    // Somebody took a set away.
    if (!isNetlinkError(error, Errno.ENOENT)) throw error;
    await repairNode(context, { ids: [], wiring: false });
    await change(context, peers);
    return true;
  }
}

async function change(
  context: NodeContext,
  peers: NodePeers,
): Promise<boolean> {
  const { state, sockets: { nft, memory } } = context;
  using _node = await state.lock("shared");
  refuseStaleNode(context);
  refuseForeignTable(context);
  using _alone = await state.peers.lock();
  const isNoted = samePeers(peers, knownPeers(context));
  // Of nobody there is no record, nor what is left of one.
  if (!isNoted || samePeers(peers, NO_PEERS)) state.peers.write(peers);
  const known = last.get(context);
  if (
    isNoted && samePeers(peers, known?.peers) &&
    known?.generation === nft.generation()
  ) return false;
  let isChanged = !isNoted;
  if ((await ensureTable(context)).length > 0) isChanged = true;
  retryOnNewGeneration((generation) => {
    const transaction = new Transaction();
    // What nobody has changed since need not be read.
    const before = known?.generation === generation
      ? peerSets(known.peers)
      : undefined;
    for (const [i, set] of peerSets(peers).entries()) {
      const found = before?.[i]?.elements ?? nft.listElements(TABLE, set);
      const gone = elementsWithout(found, set.elements);
      const missing = elementsWithout(set.elements, found);
      if (gone.length > 0) transaction.deleteElements(TABLE, set, gone);
      if (missing.length > 0) transaction.addElements(TABLE, set, missing);
    }
    if (transaction.isEmpty) {
      last.set(context, { peers, generation });
      return;
    }
    nft.commit(transaction, { generation });
    memory?.passOver(generation);
    isChanged = true;
    last.set(context, { peers, generation: nextGeneration(generation) });
  }, nft);
  return isChanged;
}

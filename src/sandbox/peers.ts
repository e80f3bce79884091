/**
 * What a node knows of other nodes is changed: first in its record, from which any process makes, compares and mends the
 * table, then in the table.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { retryOnNewGeneration } from "../hostport/host_ports.ts";
import {
  makePeerSets,
  NO_PEERS,
  type NodePeers,
  samePeers,
} from "../hostport/peers.ts";
import { TABLE } from "../hostport/sets.ts";
import { isNetlinkError, NetlinkError } from "../netlink/netlink_error.ts";
import {
  nextGeneration,
  type NftablesConnection,
} from "../nftables/connection.ts";
import { elementsWithout } from "../nftables/element.ts";
import type { Element, NftSet } from "../nftables/ruleset.ts";
import { Transaction } from "../nftables/transaction.ts";
import { inTurns, type Steps } from "../steps.ts";
import { repairNode } from "./check/check.ts";
import type { NodeContext } from "./node/context.ts";
import { knownPeers } from "./node/current_table.ts";
import { refuseStaleNode } from "./node/node_settings.ts";
import { ensureTable, refuseForeignTable } from "./node/node_table.ts";

/** What was set last by an open node. */
const last = new WeakMap<NodeContext, {
  readonly peers: NodePeers;
  /** Of the ruleset right after; missing when others had changed it before, and nobody has looked since. */
  readonly generation: number | undefined;
}>();

/** Of ranges, 500 take some 10 ms. */
const ELEMENTS_AT_ONCE = 500;

/** What is different since something was set: a part of it, as it was and as it is. */
export interface PeersChange {
  /** What was set. */
  readonly from: NodePeers;
  readonly before: NodePeers;
  readonly now: NodePeers;
}

/**
 * Notes what other nodes there are, and brings the table to it: in one transaction, unless it is hundreds of nodes. Safe beside everything else: a check or
 * repair that sees one without the other looks again while nobody shares the node's lock.
 *
 * @param since what is different, when that is known: then nothing else is looked at
 * @returns whether anything was changed
 * @throws {SandboxError} `NodeNotFound`, `NodeConflict`
 */
export async function setPeers(
  context: NodeContext,
  peers: NodePeers,
  since?: PeersChange,
): Promise<boolean> {
  try {
    return await change(context, peers, since);
  } catch (error) {
    // Others have changed the sets.
    if (since !== undefined && error instanceof NetlinkError) {
      return await setPeers(context, peers);
    }
    // Somebody took a set away.
    if (!isNetlinkError(error, Errno.ENOENT)) throw error;
    await repairNode(context, { ids: [], wiring: false });
    await change(context, peers);
    return true;
  }
}

/** Whether the table knows these and nobody else. What nobody has changed since it was set is not read. */
export async function hasPeers(
  context: NodeContext,
  peers: NodePeers,
): Promise<boolean> {
  const { sockets: { nft } } = context;
  const known = last.get(context);
  const isKnown = known?.generation === nft.generation();
  const before = isKnown ? known?.peers : undefined;
  return (await inTurns(differences(nft, before, peers))).length === 0;
}

async function change(
  context: NodeContext,
  peers: NodePeers,
  since?: PeersChange,
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
    (since !== undefined || known?.generation === nft.generation())
  ) return false;
  const isRenewed = (await ensureTable(context)).length > 0;
  let generation = nft.generation();
  let isKnown = known?.generation === generation;
  const isSince = !isRenewed && known !== undefined &&
    known.peers === since?.from;
  const needed = await inTurns(
    isSince
      ? differences(nft, since.before, since.now)
      : differences(nft, isKnown ? known?.peers : undefined, peers),
  );
  isKnown ||= !isSince;
  last.delete(context);
  await inTurns((function* () {
    for (const transaction of transactions(needed)) {
      retryOnNewGeneration((current) => {
        isKnown &&= current === generation;
        nft.commit(transaction, { generation: current });
        memory?.passOver(current);
        generation = nextGeneration(current);
      }, nft);
      yield;
    }
  })());
  last.set(context, { peers, generation: isKnown ? generation : undefined });
  return !isNoted || isRenewed || needed.length > 0;
}

interface SetChange {
  readonly does: "addElements" | "deleteElements";
  readonly set: NftSet;
  readonly elements: readonly Element[];
}

/** What turns sets with these peers, or as they are, into those with others: what goes comes first. */
function* differences(
  nft: NftablesConnection,
  before: NodePeers | undefined,
  now: NodePeers,
): Steps<SetChange[]> {
  if (before === now) return [];
  const gone: SetChange[] = [];
  const missing: SetChange[] = [];
  const there = before && (yield* makePeerSets(before));
  for (const [i, set] of (yield* makePeerSets(now)).entries()) {
    yield;
    const { elements } = set;
    const found = there?.[i]?.elements ?? nft.listElements(TABLE, set);
    gone.push({
      does: "deleteElements",
      set,
      elements: elementsWithout(found, elements),
    });
    yield;
    missing.push({
      does: "addElements",
      set,
      elements: elementsWithout(elements, found),
    });
  }
  return [...gone, ...missing].filter(({ elements }) => elements.length > 0);
}

/** Few changes together, many one after the other. */
function* transactions(changes: readonly SetChange[]): Iterable<Transaction> {
  let transaction = new Transaction();
  let room = ELEMENTS_AT_ONCE;
  for (const { does, set, elements } of changes) {
    for (let at = 0; at < elements.length;) {
      const some = elements.slice(at, at + room);
      transaction[does](TABLE, set, some);
      at += some.length;
      room -= some.length;
      if (room > 0) continue;
      yield transaction;
      transaction = new Transaction();
      room = ELEMENTS_AT_ONCE;
    }
  }
  if (!transaction.isEmpty) yield transaction;
}

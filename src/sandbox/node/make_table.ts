/**
 * The node's nf_tables table is made with all that its sandboxes have in it, and renewed. Apart from the rest, because a node
 * that is opened mostly has its table.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { isSandboxError } from "../../errors.ts";
import { elementsOf, type Placed } from "../../hostport/elements.ts";
import {
  addAll,
  deleteElements,
  findElementsOf,
  retryOnNewGeneration,
} from "../../hostport/host_ports.ts";
import { TABLE } from "../../hostport/sets.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { Transaction } from "../../nftables/transaction.ts";
import { isAlive } from "./alive.ts";
import type { NodeContext } from "./context.ts";
import { currentTable } from "./current_table.ts";
import { Pacer } from "./pacer.ts";
import { hostPortsOf, portOwner } from "../records/records.ts";

/** Tables that are being made: many creations may find at the same time that theirs is lost. */
const underWay = new WeakMap<NodeContext, Promise<boolean>>();

/**
 * Makes the table, unless somebody else does.
 *
 * @returns whether it was made here
 */
export async function createTable(context: NodeContext): Promise<boolean> {
  const others = underWay.get(context);
  if (others !== undefined) {
    await others;
    return false;
  }
  const made = makeTable(context).finally(() => underWay.delete(context));
  underWay.set(context, made);
  return await made;
}

/** Makes the table with all that the sandboxes have in it: somebody may have flushed the ruleset under them. */
async function makeTable(context: NodeContext): Promise<boolean> {
  const { nft } = context.sockets;
  const generation = nft.generation();
  const paced = await elementsInPieces(context);
  // Nobody makes a sandbox without the table. But there may have been one meanwhile, and sandboxes that were not read:
  // then all is read again, in one piece.
  const elements = unique(
    nft.generation() === generation ? paced : elementsOfNode(context),
  );
  const transaction = new Transaction();
  transaction.createTable(currentTable(context));
  addAll(transaction, elements);
  try {
    nft.commit(transaction);
  } catch (error) {
    const isThere = () => nft.getTable(TABLE) !== undefined;
    if (isNetlinkError(error, Errno.EEXIST) && isThere()) return false;
    throw error;
  }
  await takeBackStale(context, elements);
  return true;
}

/** A sandbox that others are at work on for longer tidies up itself, or is found by garbage collection. */
const BUSY_MS = 1000;

/**
 * Records were read without their locks, so that the table is whole in one moment: what somebody was giving back just then
 * is taken away again, once it can be known.
 */
async function takeBackStale(
  context: NodeContext,
  elements: readonly Placed[],
): Promise<void> {
  const { state, sockets: { nft } } = context;
  const owners = Map.groupBy(elements, ({ element }) => element.comment ?? "");
  const pacer = new Pacer();
  for (const [id, placed] of owners) {
    await pacer.pause();
    try {
      using _lock = await state.lockSandbox(id, { timeoutMs: BUSY_MS });
      const due = new Set(elementsOfSandbox(context, id).map(nameOf));
      deleteElements(nft, placed.filter((one) => !due.has(nameOf(one))));
    } catch (error) {
      if (!isSandboxError(error, "Timeout")) throw error;
    }
  }
}

/** Set, key and what it leads to, as text to compare. */
export function nameOf({ set, element: { key, data } }: Placed): string {
  return `${set.name} ${key.toHex()} ${data?.toHex() ?? ""}`;
}

/** For a table that another version of podnet made: a new one takes its place, with its elements, in one moment. */
export function replaceTable(context: NodeContext): void {
  const { sockets: { nft } } = context;
  retryOnNewGeneration((generation) => {
    const transaction = new Transaction();
    const elements = findElementsOf(nft, () => true);
    transaction.deleteTable(TABLE);
    transaction.createTable(currentTable(context));
    addAll(transaction, elements);
    nft.commit(transaction, { generation });
  }, nft);
}

/** What a sandbox should have in the table; nothing unless it is ready and lives. */
function elementsOfSandbox(context: NodeContext, id: string): Placed[] {
  const record = context.state.readableSandbox(id);
  return record?.state === "ready" && isAlive(context, record)
    ? elementsOf(hostPortsOf(record), portOwner(record))
    : [];
}

/** What the node's living sandboxes should have in the table. */
function elementsOfNode(context: NodeContext): Placed[] {
  return context.state.sandboxIds()
    .flatMap((id) => elementsOfSandbox(context, id));
}

/** The same; the event loop has its turn now and then. */
async function elementsInPieces(context: NodeContext): Promise<Placed[]> {
  const pacer = new Pacer();
  const found: Placed[][] = [];
  for (const id of context.state.sandboxIds()) {
    await pacer.pause();
    found.push(elementsOfSandbox(context, id));
  }
  return found.flat();
}

/** Should two records claim the same, one has it: a table without the second is better than no table. */
function unique(elements: readonly Placed[]): Placed[] {
  const byKey = new Map(
    elements.map((placed) => [
      `${placed.set.name} ${placed.element.key.toHex()}`,
      placed,
    ]),
  );
  return [...byKey.values()];
}

/**
 * Nodes are opened, and taken down whatever is left of them.
 *
 * @module
 */
import {
  isSandboxError,
  SandboxError,
  type SandboxErrorCode,
} from "../errors.ts";
import { TABLE } from "../hostport/sets.ts";
import { AddressPool } from "../ipam/pool.ts";
import { Cidr } from "../net/cidr.ts";
import type { Link } from "../rtnetlink/link.ts";
import type { NodeOptions } from "../spec/node_options.ts";
import {
  ensureBaseline,
  refuseOverlap,
  removeBaseline,
} from "./node/baseline.ts";
import {
  hasIpv6,
  loopback,
  type NodeContext,
  NodeSockets,
} from "./node/context.ts";
import { LateRemoval } from "./node/late_removal.ts";
import { outsideMtu } from "./node/mtu.ts";
import {
  newNode,
  type Node,
  type NodeRemoval,
  type NodeRemoveOptions,
} from "./node.ts";
import { LeaseGate } from "./records/node_lease.ts";
import {
  grows,
  isOfEarlierBoot,
  openNamespace,
  parseNode,
  settle,
} from "./node/node_settings.ts";
import {
  isOf,
  nodeOf,
  refuseForeignTable,
  tableOf,
  tableOwner,
} from "./node/node_table.ts";
import { explainRefusal } from "./node/permission.ts";
import { forgetNode } from "./pod/remove.ts";
import { WarmMaker } from "./pod/warm_maker.ts";
import { WarmPool } from "./node/warm_pool.ts";
import { Turn } from "../state/turn.ts";
import { UndoStack } from "./records/undo.ts";
import { removeUnfinished } from "./records/unfinished_node.ts";

/**
 * Opens a node, making ready what is not: forwarding, the node's address in each pod CIDR, the nf_tables table.
 * `changes` tells what was done. Any number of processes may have a node open.
 *
 * @throws {SandboxError} `InvalidSpec`; `NodeNotFound` when it was never opened and no pod CIDRs are given; `NodeConflict`
 * when it has other settings or belongs to another network namespace; `NotPermitted`, `StateUnusable`, `UnsupportedKernel`
 */
export function openNode(options: NodeOptions = {}): Promise<Node> {
  return openWith(options, ensureBaseline);
}

/** Makes ready what is not, and tells what it did. */
type MakeReady = (
  context: NodeContext,
  lo: Link | undefined,
) => string[] | Promise<string[]>;

async function openWith(
  options: NodeOptions,
  makeReady: MakeReady,
): Promise<Node> {
  try {
    return await open(options, makeReady);
  } catch (error) {
    throw explainRefusal(error);
  }
}

async function open(
  options: NodeOptions,
  makeReady: MakeReady,
): Promise<Node> {
  const { name, parsed, state } = parseNode(options);
  using opened = new DisposableStack();
  const namespace = openNamespace(opened, parsed.netns);
  const found = state.readNode();
  if (found === undefined && parsed.podCidrs === undefined) {
    throw new SandboxError("NodeNotFound", { name, stateDir: state.stateDir });
  }
  const sockets = opened.use(new NodeSockets(namespace, parsed));
  const isNew = found === undefined || isOfEarlierBoot(found) ||
    grows(found, parsed);
  // Making ready is safe side by side; deciding what the node is, is not.
  using lock = await state.lockNew(isNew ? "exclusive" : "shared");
  const undo = new UndoStack();
  undo.push(() => state.abandon());
  try {
    // Whoever put them aside may have been killed.
    state.removed.finishAll();
    const known = state.readNode();
    if (known === undefined && !isNew) {
      // It was taken down in between; what it is to be is decided with the node alone.
      state.abandon();
      lock[Symbol.dispose]();
      return await open(options, makeReady);
    }
    const settings = settle(
      name,
      parsed,
      known,
      namespace.id,
      () => outsideMtu(sockets.route),
    );
    if (settings === undefined) {
      throw new SandboxError("NodeNotFound", {
        name,
        stateDir: state.stateDir,
      });
    }
    state.records.holdTo(settings);
    const lo = loopback(sockets.route);
    const parts = {
      settings,
      state,
      namespace,
      sockets,
      pools: settings.podCidrs.map((text) => new AddressPool(Cidr.parse(text))),
      ipv6: hasIpv6(lo),
      gate: new LeaseGate(),
    };
    if (known?.podCidrs !== settings.podCidrs) refuseOverlap(parts);
    const context: NodeContext = {
      ...parts,
      table: tableOf(parts),
      late: new LateRemoval(state.removed, sockets.hasLink),
      ...parsed.warm === undefined ? {} : {
        warm: opened.use(
          new WarmPool(parsed.warm, new WarmMaker(parts)),
        ),
      },
    };
    if (known === undefined) {
      refuseForeignTable(context);
      undo.push(() => state.removeRecord());
      // Before anything that a crash would leave in the kernel: whoever finds the note can take the node down.
      state.writeNode(settings);
      undo.push(() => removeBaseline(sockets, context.table));
    } else if (settings !== known) {
      refuseForeignTable(context);
      undo.push(() => state.writeNode(known));
      state.writeNode(settings);
    }
    const changes = await makeReady(context, lo);
    // While there is a node.
    opened.use(state.keepOpen());
    sockets.turn = opened.use(Turn.open(state.sandboxesDirectory));
    // What was lost may have taken pods' routes along: the kernel drops those whose source address goes.
    if (!isNew && changes.length > 0) {
      // Mending may need the node alone.
      lock[Symbol.dispose]();
      changes.push(...await mendSandboxes(context));
    }
    return newNode(context, changes, opened.move());
  } catch (error) {
    throw undo.rollBack(error);
  }
}

/** Mends what hangs on the baseline. A sandbox that cannot be mended does not keep the node from being opened. */
async function mendSandboxes(context: NodeContext): Promise<string[]> {
  try {
    const { repairNode } = await import("./upkeep.ts");
    const { mended } = await repairNode(context);
    return mended.map(({ sandbox, object }) =>
      `mended ${object}${sandbox === undefined ? "" : ` of ${sandbox}`}`
    );
  } catch (error) {
    return [`could not mend all sandboxes: ${error}`];
  }
}

/**
 * Takes a node down: the table, the gateway addresses, the records. What is gone already is no error.
 *
 * With force it also forgets a node that cannot be opened any more, because its network namespace is gone or somebody
 * else's now, or its record is damaged: pods' namespaces and all records are removed, damaged ones too, and what the
 * namespace has of the node, told by its table. A namespace that is still there, but is not the one that `netns` means,
 * keeps what it has.
 *
 * @throws {SandboxError} `NodeConflict` while it has sandboxes, and what {@linkcode openNode} throws; not so when forced,
 * unless its namespace has the table of a node of this name, signed for another state directory
 */
export async function removeNode(
  options:
    & Pick<NodeOptions, "name" | "netns" | "stateDir">
    & NodeRemoveOptions = {},
): Promise<NodeRemoval> {
  const { force = false, ...reference } = options;
  let found: Node;
  try {
    found = await openToRemove(reference);
  } catch (error) {
    if (isSandboxError(error, "NodeNotFound")) {
      return { removed: await removeUnfinished(parseNode(reference).state) };
    }
    if (!force || !isSandboxError(error) || !LOST.includes(error.code)) {
      throw error;
    }
    return { removed: await removeLostNode(reference, error) };
  }
  await using node = found;
  return await node.remove({ force });
}

/** Nothing is made ready that is about to be taken away, nor keeps it from that, such as IPv6 that somebody switched off. */
function openToRemove(options: NodeOptions): Promise<Node> {
  return openWith(options, (context) => {
    refuseForeignTable(context);
    return [];
  });
}

/** Removes what is noted of a node that cannot be opened, and of what the namespace has, if it can be reached, what is the node's. */
async function removeLostNode(
  reference: NodeOptions,
  error: SandboxError,
): Promise<string[]> {
  const { parsed, state } = parseNode(reference);
  if (!state.exists()) throw error;
  const owner = tableOwner(state);
  if (isSandboxError(error, "InvalidNamespace")) return await forgetNode(state);
  using opened = new DisposableStack();
  const namespace = openNamespace(opened, parsed.netns);
  const sockets = opened.use(new NodeSockets(namespace));
  const table = sockets.nft.getTable(TABLE);
  const isDamaged = isSandboxError(error, "RecordInvalid");
  const isOwn = table === undefined ? isDamaged : isOf(table.comment, owner);
  // It may be this very node, whose state directory is mounted in two places: by the other path it can be opened.
  if (
    !isOwn && !isDamaged && nodeOf(table?.comment) === state.name &&
    state.readNode()?.netnsId === namespace.id
  ) throw error;
  const removed = await forgetNode(state);
  if (isDamaged) removed.push(`damaged record ${error.context.path}`);
  if (!isOwn) return removed;
  const { removeBridges } = await import("./upkeep.ts");
  return [
    ...removed,
    ...removeBridges(sockets.route),
    ...removeBaseline(sockets, owner),
  ];
}

/** How a node that exists, but not here, shows itself. */
const LOST: readonly SandboxErrorCode[] = [
  "NodeConflict",
  "InvalidNamespace",
  "RecordInvalid",
];

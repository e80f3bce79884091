/**
 * How a sandbox is taken away: host ports first, so that nothing is led into the void, the link with its namespace last.
 *
 * The kernel destroys a link on its own time once its namespace is gone, which costs 16–66 µs here; asking for it
 * (RTM_DELLINK) would block for 31–44 ms. What anybody could miss, addresses and ports, is free when this returns.
 *
 * @module
 */
import {
  addressesOfLink,
  releaseAddresses,
} from "../../attachment/address_claims.ts";
import { removeShaper } from "../../attachment/bandwidth.ts";
import { releasePodRules } from "../../attachment/pod_routes.ts";
import { detachHost } from "../../attachment/routed_veth.ts";
import type { ConntrackFilter } from "../../conntrack/conntrack.ts";
import { isSandboxError, SandboxError } from "../../errors.ts";
import {
  deleteElements,
  findElementsOf,
  idsOfElements,
  releaseHostPorts,
  tryReleaseAll,
} from "../../hostport/host_ports.ts";
import { TABLE } from "../../hostport/sets.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { Connection } from "../../netlink/connection.ts";
import { NETLINK_ROUTE } from "../../netlink/message.ts";
import type { NodeContext } from "../node/context.ts";
import { bridgesOf } from "../node/bridge_names.ts";
import { type Claims, putAside } from "./put_aside.ts";
import { lockNewSandbox } from "../records/new_sandbox_lock.ts";
import type { LockedSandbox } from "../records/own_records.ts";
import { lockToChange } from "../records/lock_to_change.ts";
import { lockUnlessGone } from "../records/node_lock.ts";
import { refuseStaleNode } from "../node/node_settings.ts";
import type { NodeState } from "../records/node_state.ts";
import { hasNetworksIn, removeNetworks } from "../records/network_notes.ts";
import { isOf } from "../node/node_table.ts";
import { ownLink } from "../node/ownership.ts";
import { turn } from "../node/pacer.ts";
import { explainRefusal } from "../node/permission.ts";
import {
  awaitGone,
  deletePodLinks,
  furtherLinks,
  idsOfLinks,
  podLinks,
} from "../node/pod_links.ts";
import { ended, hasDatagrams } from "./live_ports.ts";
import { recordedLink } from "./recorded_wiring.ts";
import {
  addressesOf,
  hostPortsOf,
  portOwner,
  type SandboxRecord,
} from "../records/records.ts";

/** How to remove. */
export interface RemoveOptions {
  /**
   * Also when containers are attached, when the record is damaged, when plugins that attached it to networks fail, when a link
   * of the node that it had cannot be given back, and when something still holds the namespace: the link is then deleted once it is clear that it does not go with it, half a
   * second later.
   * @default false
   */
  readonly force?: boolean;
}

/** Which sandbox is meant, and what is known of it. */
interface Meant {
  /** Its `createdAt`; one that was made since is left alone. */
  readonly incarnation?: string;
  /** All that the kernel has something of; unless it is to be asked. */
  readonly inKernel?: ReadonlySet<string>;
}

/**
 * Removes what is left of a sandbox that has nothing in the state directory, by the ids that it may have had. The tables of the
 * kernel are read once for all of them, and again only for one that they have something of; the event loop has its turn in
 * between.
 *
 * @returns whether there was anything
 * @throws {SandboxError}
 */
export async function removeLost(
  context: NodeContext,
  ids: readonly string[],
  { force = false }: RemoveOptions,
): Promise<boolean> {
  if (ids.length === 0) return false;
  context.state.refuseClosed();
  const inKernel = new Set(idsOfLinks(context));
  await turn();
  for (const id of idsOfElements(context.sockets.nft)) inKernel.add(id);
  let found = false;
  for (const id of ids) {
    found = await removeSandbox(context, id, { force, inKernel }) || found;
  }
  return found;
}

/**
 * Removes the sandbox `id`, whatever is left of it: record, link or namespace may be gone.
 *
 * @returns whether there was anything
 * @throws {SandboxError} `SandboxInUse`; `RecordInvalid`, `DeviceLost` unless forced
 * @throws {CniPluginError} unless forced
 */
export async function removeSandbox(
  context: NodeContext,
  id: string,
  options: RemoveOptions & Meant = {},
): Promise<boolean> {
  try {
    context.state.refuseClosed();
    const { found, bridges } = await giveUpSandbox(context, id, options);
    if (!found || bridges.length > 0) {
      // A removal that was cut short has left nothing that names them.
      const { sweepBridges } = await import("../upkeep.ts");
      await sweepBridges(context, found ? bridges : undefined);
    }
    if (!options.force) return found;
    context.state.removed.finishAll();
    if (options.inKernel?.has(id) === false) return found;
    return await deleteHeldLinks(context, new Set([id])) || found;
  } catch (error) {
    throw explainRefusal(error, context.state);
  }
}

/**
 * Removes many sandboxes by force. The event loop runs in between.
 *
 * @throws {SandboxError}
 */
export async function removeSandboxes(
  context: NodeContext,
  ids: readonly string[],
): Promise<void> {
  const bridges: string[] = [];
  for (const id of ids) {
    const given = await giveUpSandbox(context, id, { force: true });
    bridges.push(...given.bridges);
  }
  const { sweepBridges } = await import("../upkeep.ts");
  await sweepBridges(context, bridges);
  context.state.removed.finishAll();
  if (ids.length > 0) await deleteHeldLinks(context, new Set(ids));
}

/** What became of a sandbox. */
interface GivenUp {
  /** Whether there was anything. */
  readonly found: boolean;
  /** Names of bridges that it had ports of. */
  readonly bridges: readonly string[];
}

const NOTHING: GivenUp = { found: false, bridges: [] };
const FOUND: GivenUp = { found: true, bridges: [] };

/**
 * All of it but the wait for the link, and what needs the node alone. Plugins that attached it to networks come first, while
 * its namespace is there.
 */
async function giveUpSandbox(
  context: NodeContext,
  id: string,
  options: RemoveOptions & Meant,
): Promise<GivenUp> {
  for (;;) {
    const done = await giveUpDetached(context, id, options, false);
    if (done !== undefined) return done;
    // Under no other lock, since plugins take their time and may be podnet.
    const { releaseNetworks } = await import("../upkeep.ts");
    using released = await releaseNetworks(context, id, options);
    if (released === undefined) continue;
    return await giveUpDetached(context, id, options, true) ??
      { ...NOTHING, found: true };
  }
}

/**
 * @param isDetached nobody can attach it to networks, and it is attached to none
 * @returns undefined when it is attached to networks, and nothing was done
 */
async function giveUpDetached(
  context: NodeContext,
  id: string,
  options: RemoveOptions & Meant,
  isDetached: boolean,
): Promise<GivenUp | undefined> {
  const { state } = context;
  // As in a creation: the event loop has its turn between two.
  await turn();
  const node = state.tryLock() ?? await lockUnlessGone(state, "shared");
  if (node === undefined) {
    return { ...NOTHING, found: removeUnlocked(context, id) };
  }
  // `using` would cost 1 µs here.
  let locked: LockedSandbox | undefined;
  try {
    refuseStaleNode(context);
    const read = () => readOrSetAside(state, id, options.force ?? false);
    locked = state.records.tryLock(id) ?? await lockToChange(state, id, read);
    if (locked !== undefined) {
      return await giveUpLocked(context, id, options, isDetached, locked);
    }
    using made = await lockNewSandbox(state.sandboxDirectory(id));
    const { directory, isNew } = made;
    const found = { record: read(), directory, isNew };
    return await giveUpLocked(context, id, options, isDetached, found);
  } finally {
    locked?.[Symbol.dispose]();
    node[Symbol.dispose]();
  }
}

/** A sandbox whose directory is locked. */
interface Held extends Pick<LockedSandbox, "record" | "directory"> {
  /**
   * Whether the directory was made for the lock.
   * @default false
   */
  readonly isNew?: boolean;
}

async function giveUpLocked(
  context: NodeContext,
  id: string,
  { force = false, incarnation, inKernel }: RemoveOptions & Meant,
  isDetached: boolean,
  { record, directory, isNew = false }: Held,
): Promise<GivenUp | undefined> {
  const { state } = context;
  if (
    record !== undefined && incarnation !== undefined &&
    record.createdAt !== incarnation
  ) return NOTHING;
  if (record !== undefined && record.containers.length > 0 && !force) {
    throw new SandboxError("SandboxInUse", {
      id,
      containers: record.containers.map(({ name }) => name),
    });
  }
  if (!isDetached && hasNetworksIn(state, id, directory)) return undefined;
  // Of several at once, one finds the sandbox: the others' lock is on a directory of their own making.
  let found = !isNew;
  if (record === undefined) {
    NetworkNamespace.unpin(state.pinPath(id));
    if (inKernel?.has(id) !== false) {
      found = removeOrphans(context, id) || found;
    }
    // An earlier try may have come so far.
    state.removed.finishAll();
  } else {
    const late = context.late?.begin();
    try {
      // First, for it may be refused.
      if (record.interfaces.length > 0) {
        const { releaseInterfaces } = await import("../upkeep.ts");
        releaseInterfaces(context, record, { force });
      }
      const forgotten = context.sockets.walks.forget(
        closeHostPorts(context, record),
      );
      // Before somebody else has its addresses.
      if (forgotten !== undefined) await forgotten;
      const claims = claimsOf(context, record);
      const waiting = releaseClaims(context, claims);
      if (waiting !== undefined) {
        await waiting;
        // Many have waited for the same: each has a turn of its own.
        await turn();
      }
      if (
        late !== undefined && !isDetached && !force &&
        putAside(context, record, directory, claims)
      ) return FOUND;
      dropNamespace(context, record, claims);
    } finally {
      late?.[Symbol.dispose]();
    }
  }
  if (isDetached) removeNetworks(state, id);
  state.removeSandbox(id);
  const specs = record?.interfaces.map(({ spec }) => spec) ?? [];
  return { found, bridges: bridgesOf(specs) };
}

/** The node was taken down, so nobody is at work on the sandbox; unless the table is another node's by now. */
function removeUnlocked(context: NodeContext, id: string): boolean {
  const { sockets: { nft }, table } = context;
  const found = nft.getTable(TABLE);
  return (found === undefined || isOf(found.comment, table)) &&
    removeOrphans(context, id);
}

/** What stays although its sandbox was removed does so because somebody is in the namespace, who is cut off by this. */
async function deleteHeldLinks(
  context: NodeContext,
  ids: ReadonlySet<string>,
): Promise<boolean> {
  const held = await awaitGone(() =>
    podLinks(context).filter(({ id, retired }) => retired && ids.has(id))
  );
  deletePodLinks(context.sockets.route, held);
  return held.length > 0;
}

/** With force a record that cannot be read is kept for people to look at, like {@linkcode collectGarbage} does. */
function readOrSetAside(
  state: NodeState,
  id: string,
  force: boolean,
): SandboxRecord | undefined {
  try {
    return state.readSandbox(id);
  } catch (error) {
    if (!force || !isSandboxError(error, "RecordInvalid")) throw error;
    state.setAsideRecord(id);
    return undefined;
  }
}

/** Nothing new is led to the pod any more. Returns the flows that are, to be forgotten. */
export function closeHostPorts(
  context: NodeContext,
  record: SandboxRecord,
): readonly ConntrackFilter[] {
  const { sockets } = context;
  if (!hasDatagrams(record.ports) && tryReleaseAll(sockets, record)) {
    return [];
  }
  const owner = portOwner(record);
  const ports = hostPortsOf(record);
  releaseHostPorts(sockets, owner, ports, { withHairpin: true });
  return ended(context, owner, ports, true);
}

/** What it claims besides. */
export function claimsOf(
  context: NodeContext,
  record: SandboxRecord,
): Claims | undefined {
  const { state, sockets } = context;
  const link = state.records.isOwn(record)
    ? record.link
    : ownLink(context, record);
  if (link === undefined) return undefined;
  // It may have been cut short before its addresses were noted.
  const addresses = record.addresses.length === 0
    ? addressesOfLink(sockets.route, link.hostIndex)
    : addressesOf(record);
  return { link, addresses };
}

/** Returns undefined when that is done, otherwise it is when the promise resolves. */
function releaseClaims(
  { sockets: { addresses: release, route } }: NodeContext,
  claims: Claims | undefined,
): Promise<void> | undefined {
  if (claims === undefined) return undefined;
  const { link: { hostIndex }, addresses } = claims;
  if (release !== undefined) return release.release(hostIndex, addresses);
  releaseAddresses(route, hostIndex, addresses);
  return undefined;
}

/** Takes away the rest but for further interfaces, which go before; the namespace last. */
export function dropNamespace(
  context: NodeContext,
  record: SandboxRecord,
  claims: Claims | undefined,
): void {
  const { state, sockets } = context;
  if (claims !== undefined && record.spec.netns !== undefined) {
    leaveNamespace(context, record);
    detachHost(sockets.route, claims.link);
  }
  if (record.link !== undefined && record.bandwidth?.egress !== undefined) {
    const { link } = record;
    removeShaper(
      sockets.route,
      recordedLink(context, { ...record, link }),
    );
  }
  NetworkNamespace.unpin(state.pinPath(record.id), record.netnsId);
}

/** Takes away what would stay in a namespace of somebody else's when the link is gone. */
export function leaveNamespace(
  { state }: NodeContext,
  { id, netnsId, link }: SandboxRecord,
): void {
  if (link === undefined) return;
  try {
    using namespace = NetworkNamespace.open(state.pinPath(id));
    if (namespace.id !== netnsId) return;
    using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
    releasePodRules(route, link.podIndex);
  } catch (error) {
    if (!isSandboxError(error, "InvalidNamespace")) throw error;
  }
}

/**
 * What is found from the kernel's side alone, by reading whole tables: for a sandbox whose record is lost. Its link does
 * not go with the pin, which is gone already or somebody else's.
 */
export function removeOrphans(context: NodeContext, id: string): boolean {
  const { nft, route } = context.sockets;
  const elements = findElementsOf(nft, (owner) => owner === id);
  deleteElements(nft, elements);
  const links = [
    ...podLinks(context).filter(({ retired }) => !retired),
    ...furtherLinks(context),
  ].filter((link) => link.id === id);
  deletePodLinks(route, links);
  return links.length > 0 || elements.length > 0;
}

/**
 * Removes the notes and pins of a node that cannot be opened any more.
 *
 * @returns what was removed, in plain words
 */
export async function forgetNode(state: NodeState): Promise<string[]> {
  using _lock = await state.lockNew("exclusive");
  const ids = state.sandboxIds();
  for (const id of ids) {
    NetworkNamespace.unpin(state.pinPath(id));
    removeNetworks(state, id);
    state.removeSandbox(id);
  }
  state.removeNode();
  return [...ids.map((id) => `sandbox ${id}`), `records of ${state.name}`];
}

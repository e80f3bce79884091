/**
 * How a sandbox is made, step by step. Each step that changes the kernel has its undo beside it.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { releaseLink } from "../../attachment/address_claims.ts";
import { removeShaper } from "../../attachment/bandwidth.ts";
import { hasIpv6, type PodLink } from "../../attachment/pod_link.ts";
import {
  attachHost,
  attachPod,
  detachHost,
  finishLink,
  makeLink,
  switchIpv6On,
} from "../../attachment/routed_veth.ts";
import { isSandboxError } from "../../errors.ts";
import { TABLE } from "../../hostport/sets.ts";
import type { IpAddress } from "../../net/ip.ts";
import { MacAddress } from "../../net/mac.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { removeIfEmpty } from "../../state/store.ts";
import { ensureBaseline } from "../node/baseline.ts";
import { bridgesOf } from "../node/bridge_names.ts";
import type { NodeContext } from "../node/context.ts";
import { expectDescriptors } from "../node/descriptors.ts";
import { newDnsFiles } from "./dns_files.ts";
import {
  type Identity,
  identity,
  idOf,
  linkAlias,
  nameOf,
  newHostLink,
  newIndex,
} from "../records/identity.ts";
import { addressWishes } from "./address_wishes.ts";
import type { attachInterfaces } from "./interfaces.ts";
import { claimNewPorts, forgetEarlier } from "./live_ports.ts";
import { pinFor, recordOf } from "../records/new_record.ts";
import {
  lockNewSandbox,
  tryLockNewSandbox,
} from "../records/new_sandbox_lock.ts";
import { hasNetworks } from "../records/network_notes.ts";
import { refuseStaleNode } from "../node/node_settings.ts";
import type { SandboxRecord } from "../records/records.ts";
import { explainRefusal } from "../node/permission.ts";
import { networksOf } from "./recorded_wiring.ts";
import { leaveNamespace, removeOrphans } from "./remove.ts";
import { turn } from "../node/pacer.ts";
import { parseSandboxSpec } from "../../spec/parse.ts";
import type { NormalisedSpec, SandboxSpec } from "../../spec/sandbox_spec.ts";
import {
  adoptPodNamespace,
  DEFAULT_INTERFACE,
  FIRST_INDEX,
  newPodNamespace,
} from "./pod_namespace.ts";
import { writeSpecSysctls } from "./spec_sysctls.ts";
import { UndoStack } from "../records/undo.ts";
import type { PodNamespace, WarmNamespace } from "../node/warm_pool.ts";

/**
 * Makes the sandbox, or finds it when it exists with the same spec.
 *
 * @throws {SandboxError} `InvalidSpec`, `InvalidNamespace`, `SandboxConflict`, `AddressInUse`, `AddressPoolExhausted`,
 * `HostPortInUse`, `HostAddressUnknown`, `LeaseEnded`, `StateUnusable`, `NotPermitted`, `LimitReached`; the node is then as it was
 */
export async function createSandbox(
  context: NodeContext,
  input: SandboxSpec,
): Promise<SandboxRecord> {
  const { state } = context;
  try {
    state.refuseClosed();
    const spec = parseSandboxSpec(input, {
      podCidrs: context.pools.map(({ cidr }) => cidr),
    });
    return isPlain(spec)
      ? await createAsSaid(context, spec, buildRouted)
      : await createFurther(context, spec);
  } catch (error) {
    // What is wrong may be the handle, of a node that was set up again.
    if (isSandboxError(error, "InvalidSpec")) refuseStaleNode(context);
    throw explainRefusal(error, state);
  }
}

/** Whether it is wired to the node, and has no further interfaces. */
function isPlain(
  { hostNetwork, attachment, interfaces }: NormalisedSpec,
): boolean {
  return !hostNetwork && attachment.type === "routed" &&
    interfaces.length === 0;
}

/** What few sandboxes have is loaded for those that ask for it; before anything is made, since making is one piece. */
async function createFurther(
  context: NodeContext,
  spec: NormalisedSpec,
): Promise<SandboxRecord> {
  const {
    attachInterfaces,
    buildOnHostNetwork,
    buildUnrouted,
    sweptIfItFails,
  } = await import("../upkeep.ts");
  const build: Builder = spec.hostNetwork
    ? buildOnHostNetwork
    : spec.attachment.type === "none"
    ? buildUnrouted
    : buildRouted;
  const act = () => createAsSaid(context, spec, build, attachInterfaces);
  return bridgesOf(spec.interfaces).length === 0
    ? await act()
    : await sweptIfItFails(context, act);
}

async function createAsSaid(
  context: NodeContext,
  spec: NormalisedSpec,
  build: Builder,
  attach?: typeof attachInterfaces,
): Promise<SandboxRecord> {
  const id = spec.id ?? idOf(nameOf(spec));
  const wanted = { id, spec, build, attach, isRetry: false };
  for (;;) {
    const record = await createDetached(context, wanted);
    if (record !== undefined) return record;
    // Under no other lock, since plugins take their time and may be podnet.
    const { releaseNetworks } = await import("../upkeep.ts");
    using released = await releaseNetworks(context, id, { force: true });
    released?.removeDirectory();
  }
}

/** Undefined when one that is gone is still attached to networks. */
async function createDetached(
  context: NodeContext,
  wanted: Wanted,
): Promise<SandboxRecord | undefined> {
  const { state } = context;
  // Nothing else here waits, so a program that makes many in a row would do nothing else.
  await turn();
  const grown = expectDescriptors();
  if (grown !== undefined) await grown;
  const node = state.tryLock() ?? await state.lock("shared");
  // Here and below without `using`, which costs 1 µs.
  try {
    refuseStaleNode(context);
    try {
      return await attempt(context, wanted);
    } catch (error) {
      // Somebody may have flushed the ruleset: no pod is made without its guard.
      if (isTableLost(context)) await ensureBaseline(context);
      else if (!wasOptimistic(wanted, error)) throw error;
      return await attempt(context, { ...wanted, isRetry: true });
    }
  } finally {
    node[Symbol.dispose]();
  }
}

/** One that fails takes the directory away, and the lock with it. */
async function attempt(
  context: NodeContext,
  wanted: Wanted,
): Promise<SandboxRecord | undefined> {
  const { state } = context;
  const { id } = wanted;
  const warm = takeWarm(context, wanted);
  if (warm !== undefined) {
    try {
      const made = make(context, wanted, warm);
      return made instanceof Promise ? await made : made;
    } finally {
      context.warm?.release(warm);
    }
  }
  const directory = state.sandboxDirectory(id);
  const lock = tryLockNewSandbox(directory) ?? await lockNewSandbox(directory);
  try {
    if (!lock.isNew || wanted.isRetry) return await findOrMake(context, wanted);
    const made = make(context, wanted, undefined);
    return made instanceof Promise ? await made : made;
  } catch (error) {
    removeIfEmpty(directory);
    throw error;
  } finally {
    lock[Symbol.dispose]();
  }
}

/**
 * Whether trying again with more care may help: an address, or the number of a link, was not as free as it looked; a link
 * made ahead was deleted, or set down, by somebody; or what is in the way is left of this very sandbox, whose directory was lost.
 */
function wasOptimistic(
  { id, spec: { namespace, name } }: Wanted,
  error: unknown,
): boolean {
  if (isNetlinkError(error, ...NOT_AS_TAKEN_FOR)) return true;
  return (isSandboxError(error, "AddressInUse") ||
    isSandboxError(error, "HostPortInUse")) &&
    // Told by its record, which is written before some claims, or without.
    [`sandbox ${id}`, `sandbox ${namespace}/${name} (${id})`]
      .includes(error.context.owner ?? "");
}

/** Of what is not as it was taken for: there already, gone, set down. */
const NOT_AS_TAKEN_FOR: readonly number[] = [
  Errno.EEXIST,
  Errno.EBUSY,
  Errno.ENOENT,
  Errno.ENODEV,
  Errno.ENETDOWN,
];

/** Asked after a failure: when there is no answer, that failure is the one to know. */
function isTableLost({ sockets: { nft } }: NodeContext): boolean {
  try {
    return nft.getTable(TABLE) === undefined;
  } catch {
    return false;
  }
}

/** What a sandbox is made from. */
interface Wanted {
  readonly id: string;
  readonly spec: NormalisedSpec;
  /** Makes what it has besides its directory and its record's last name. */
  readonly build: Builder;
  /** Attaches further interfaces; for a spec that has some. */
  readonly attach: typeof attachInterfaces | undefined;
  /** Whether nothing is taken for granted: what may be left of it is looked for, addresses too, and nothing made ahead is used. */
  readonly isRetry: boolean;
}

/** Makes one, from what was made ahead for it, with a pin, if there is any. */
type Builder = (
  context: NodeContext,
  wanted: Wanted,
  undo: UndoStack,
  warm: WarmNamespace | undefined,
) => SandboxRecord;

async function findOrMake(
  context: NodeContext,
  wanted: Wanted,
): Promise<SandboxRecord | undefined> {
  const { state } = context;
  const { id, spec } = wanted;
  const existing = state.readSandbox(id);
  if (existing?.state === "ready") {
    const { asRequested } = await import("../upkeep.ts");
    const found = asRequested(context, existing, spec);
    if (found !== undefined) return found;
  }
  if (hasNetworks(state, id)) return undefined;
  // What a crash or a reboot left of this sandbox.
  if (existing === undefined) {
    NetworkNamespace.unpin(state.pinPath(id));
    removeOrphans(context, id);
  } else {
    const { removeRemains } = await import("../upkeep.ts");
    removeRemains(context, id, existing);
  }
  // It would be taken for the record of what is about to be made.
  state.records.remove(id);
  return await make(context, wanted, undefined);
}

/** The sandbox has nothing but its directory, and what was made ahead. Only to look for flows is something to be waited for. */
function make(
  context: NodeContext,
  wanted: Wanted,
  warm: WarmNamespace | undefined,
): SandboxRecord | Promise<SandboxRecord> {
  const { state } = context;
  const { id, spec } = wanted;
  const undo = new UndoStack();
  undo.push(() => state.removeSandbox(id));
  if (warm !== undefined) {
    undo.push(() => NetworkNamespace.unpin(state.pinPath(id)));
  }
  const undone = (error: unknown): never => {
    throw state.reserve.lend(() => undo.rollBack(error));
  };
  try {
    if (!spec.hostNetwork) context.gate.pass(state);
    state.reserve.fill();
    const record = wanted.build(context, wanted, undo, warm);
    const waiting = forgetEarlier(context, record);
    if (waiting === undefined) return state.records.finish(record);
    return waiting.then(() => state.records.finish(record)).catch(undone);
  } catch (error) {
    return undone(error);
  }
}

/** Of the pod's own network: a namespace, a link, addresses, host ports. */
function buildRouted(
  context: NodeContext,
  wanted: Wanted,
  undo: UndoStack,
  warm: WarmNamespace | undefined,
): SandboxRecord {
  const { spec } = wanted;
  if (warm !== undefined) return buildIn(warm, context, wanted, undo, warm);
  const pod = spec.netns === undefined
    ? newPodNamespace(context)
    : adoptPodNamespace(context, {
      interfaceName: spec.interfaceName,
      defaultRoutes: spec.defaultRoute
        ? context.pools.map(({ cidr }) => cidr.family)
        : [],
      routes: spec.routes,
    }, spec.netns);
  try {
    return buildIn(pod, context, wanted, undo);
  } finally {
    pod[Symbol.dispose]();
  }
}

function buildIn(
  { namespace, podRoute }: PodNamespace,
  context: NodeContext,
  { id, spec, isRetry, attach }: Wanted,
  undo: UndoStack,
  warm?: WarmNamespace,
): SandboxRecord {
  const { state, sockets, settings } = context;
  const mtu = spec.mtu ?? settings.mtu;
  let known: Identity | undefined;
  const own = () => known ??= identity(spec.id ?? nameOf(spec));
  const { name: hostInterface, index: hostIndex } = warm?.hostLink ??
    newHostLink();
  const link: PodLink = {
    hostInterface,
    hostIndex,
    alias: linkAlias(settings.name, id),
    podIndex: spec.netns === undefined ? FIRST_INDEX : hostIndex,
    interfaceName: spec.interfaceName,
    mac: spec.mac === undefined
      ? warm?.prepared.mac ?? own().mac
      : MacAddress.parse(spec.mac),
    mtu,
    ipv6: hasIpv6(context.ipv6, mtu),
    prepared: warm?.prepared,
    defaultRoute: spec.defaultRoute,
    ownTable: !spec.defaultRoute,
    routes: networksOf(spec),
    bandwidth: spec.bandwidth,
  };
  // Who fails leaves a namespace of somebody else's by the pin. One's own goes with the process, and all that is in it.
  if (spec.netns !== undefined) pinFor(state, id, namespace, undo);
  const recordWith = (addresses: readonly IpAddress[]): SandboxRecord => ({
    ...recordOf(id, spec, namespace, addresses),
    mtu,
    link: {
      hostInterface,
      hostIndex,
      podIndex: link.podIndex,
      mac: String(link.mac),
    },
  });
  if (spec.netns !== undefined) {
    // The link will not go with its namespace, and bears no mark when it is born: only the record leads to it.
    state.writeSandbox(recordWith([]));
    undo.push(() => detachHost(sockets.route, link));
    // Once more when it fails: nothing else will lead to a namespace of somebody else's.
    undo.push(() => leaveNamespace(context, recordWith([])));
    undo.push(() => leaveNamespace(context, recordWith([])));
  } else if (spec.addresses.length > 0) {
    // Who else asks for the same address is to learn who has it.
    state.writeSandbox(recordWith([]), warm?.directory.note);
  } else if (spec.bandwidth?.egress !== undefined) {
    // Its shaper will not go with the namespace either.
    state.writeSandbox(recordWith([]), warm?.directory.note);
  }
  if (spec.bandwidth?.egress !== undefined) {
    undo.push(() => removeShaper(sockets.route, link));
  }
  if (warm === undefined) {
    makeLink(sockets.route, namespace, link);
    // While it is down: nothing can arrive.
    sockets.ipv6Guard?.guard(
      hostInterface,
      context.pools.some(({ cidr }) => cidr.family === 6),
    );
  }
  undo.push(() => releaseLink(sockets.route, hostIndex));
  const claimed = attachHost(
    sockets.route,
    link,
    addressWishes(context, spec, own, isRetry, warm),
    newIndex,
  );
  if (spec.netns !== undefined) {
    switchIpv6On(namespace, spec.interfaceName, claimed);
  }
  attachPod(podRoute, link, claimed);
  // The kernel has rtnetlink's lock from here on: until finishLink() mostly nothing asks for that.
  if (spec.netns === undefined && warm === undefined) {
    pinFor(state, id, namespace, undo);
  }
  const addresses = claimed.map(({ address }) => address);
  writeSpecSysctls(namespace, spec);
  let record = recordWith(addresses);
  newDnsFiles(state, record, warm?.directory);
  // Until here all goes with the pin, or bears the sandbox's mark. Who has a host port is told by its record.
  state.writeSandbox(record, warm?.directory.note);
  const finish = () => finishLink(sockets.route, podRoute, link, claimed);
  if (attach === undefined) {
    claimNewPorts(context, record, undo);
    finish();
    return record;
  }
  // Routes to their networks come after the pod's own.
  finish();
  record = attach(context, record, { namespace, podRoute }, undo);
  claimNewPorts(context, record, undo);
  return record;
}

/** One that was made ahead, if it is what the spec asks for; the sandbox has its directory then, and is locked. */
function takeWarm(
  { warm, settings, state }: NodeContext,
  { id, spec, isRetry }: Wanted,
): WarmNamespace | undefined {
  const isUsual = !isRetry && spec.netns === undefined && !spec.hostNetwork &&
    spec.attachment.type === "routed" && spec.defaultRoute &&
    spec.routes.length === 0 && spec.interfaceName === DEFAULT_INTERFACE &&
    (spec.mtu ?? settings.mtu) === settings.mtu;
  return isUsual ? warm?.take(state.sandboxDirectory(id)) : undefined;
}

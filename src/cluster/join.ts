/**
 * A node joins a cluster.
 *
 * @module
 */
import { hostName } from "../../ffi/process.ts";
import { SandboxError } from "../errors.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { rememberedAddress } from "../net/remembered.ts";
import type { Node } from "../sandbox/node.ts";
import { readNodeLease } from "../sandbox/records/node_lease.ts";
import { openNamespace } from "../sandbox/node/node_settings.ts";
import { NodeState } from "../sandbox/records/node_state.ts";
import { openNode } from "../sandbox/open_node.ts";
import { parseNodeOptions } from "../spec/node_options.ts";
import { type Cluster, type ClusterParts, newCluster } from "./cluster.ts";
import { ClusterPaths } from "./cluster_paths.ts";
import { canBeReached, type OwnEndpoint, ownEndpoint } from "./endpoint.ts";
import { EtcdStore } from "./etcd/etcd_store.ts";
import {
  type JoinOptions,
  type NormalisedJoinOptions,
  parseJoinOptions,
} from "./join_options.ts";
import { refuseWireguard } from "./kernel_refusal.ts";
import { Limit } from "./limit.ts";
import { ClusterNotes } from "./notes.ts";
import type { Paths } from "./path_keeper.ts";
import { type Place, takePlace } from "./place.ts";
import type { ClusterSettings } from "./settings.ts";
import { MAX_ADDRESSES } from "./record.ts";
import { StaticStore } from "./static_store.ts";
import { type ClusterStore, isStoreError, type StoreListing } from "./store.ts";
import { allAddresses, defaultGateways, underlayOf } from "./underlay.ts";

/** Makes what programs the kernel, once the node is open. */
export type MakePaths = (
  node: Node,
  settings: ClusterSettings,
) => Paths;

/** Paths in the kernel. */
export const kernelPaths: MakePaths = (
  node,
  { backend, vni, vxlanPort, podCidrs },
) =>
  ClusterPaths.open(node, { backend, vni, vxlanPort, clusterCidrs: podCidrs });

/** See `entry.ts`. */
export function joinCluster(options: JoinOptions): Promise<Cluster> {
  return joinWith(kernelPaths, options);
}

/**
 * {@linkcode joinCluster} with other paths.
 *
 * @param isToLeave that only a node which has a place already is to have it
 * @throws {SandboxError} `NotInCluster` when it has none, `NodeConflict` when it has one in another cluster; what
 * `joinCluster()` throws
 */
export async function joinWith(
  makePaths: MakePaths,
  given: JoinOptions,
  { isToLeave = false }: { readonly isToLeave?: boolean } = {},
): Promise<Cluster> {
  const options = parseJoinOptions(given);
  const { node: nodeOptions, cluster, leaseSeconds } = options;
  const { stateDir, name } = nodeOptions;
  await using opened = new AsyncDisposableStack();
  const notes = new ClusterNotes(stateDir, name);
  opened.use(await notes.lock());
  const store = options.store ?? opened.use(storeOf(options));
  const state = new NodeState(stateDir, name);
  const known = state.readNode();
  const undo: (() => unknown)[] = [];
  if (known === undefined) undo.push(() => notes.remove());
  try {
    const former = readNodeLease(state);
    const isNoted = former?.cluster === cluster;
    const stranger = () =>
      former === undefined
        ? new SandboxError("NotInCluster", { name, stateDir })
        : new SandboxError("NodeConflict", {
          name,
          reason: `it is in cluster "${former.cluster}"`,
        });
    if (isToLeave && !isNoted && known !== undefined) {
      // It is set up in another way, and stays so, with what is noted of it.
      if (former === undefined) undo.push(() => notes.remove());
      throw stranger();
    }
    const namespace = openNamespace(
      opened.use(new DisposableStack()),
      nodeOptions.netns,
    );
    const endpoint = endpointReader(options, namespace);
    const nodeWith = (podCidrs: readonly string[], podMtu: number) => ({
      ...nodeOptions,
      podCidrs,
      // A node that is set up keeps its MTU: its pods have it.
      ...nodeOptions.mtu === undefined && known === undefined
        ? { mtu: podMtu }
        : {},
    });
    const place = await takePlace(store, {
      cluster,
      name,
      wanted: options.wanted,
      held: known?.podCidrs ?? [],
      networks: underlayOf(namespace).networks.map(({ network }) => network),
      needed: neededBy(options, namespace),
      formerLease: isNoted ? former.id : undefined,
      inspect: (basis) => {
        if (isToLeave && !isNoted && !hasPlace(basis, name)) throw stranger();
      },
      endpoint: (settings, addresses) => {
        const own = endpoint(settings, addresses);
        // What cannot be is found before the claim: the first one decides for ever what the cluster is.
        refuseWireguard(settings.backend);
        parseNodeOptions(nodeWith(settings.podCidrs, own.podMtu), hostName);
        return reachable(own, namespace);
      },
    }, { ...options, leaseMs: leaseSeconds * 1000 });
    // Pods of a node that was there stay reachable: it has the time of the lease to join as it should.
    if (known === undefined || !isNoted) {
      undo.push(() => giveUp(store, place, leaseSeconds));
    }
    const { podMtu } = endpoint(place.settings, place.addresses);
    const node = opened.use(
      await openNode(nodeWith(place.self.podCidrs, podMtu)),
    );
    if (known === undefined) undo.push(() => node.remove());
    const parts: ClusterParts = {
      cluster,
      store,
      place,
      node,
      paths: makePaths(node, place.settings),
      notes,
      endpoint: () => endpoint(place.settings, place.addresses),
    };
    return await newCluster(parts, opened);
  } catch (error) {
    throw await rolledBack(error, undo);
  }
}

/** Whether the store remembers the node, by what the node has asked of it and not by what is written there for it. */
function hasPlace(
  { members, reservations }: StoreListing,
  name: string,
): boolean {
  const member = members.find((one) => one.name === name);
  return member === undefined
    ? reservations.some(({ owner }) => owner === name)
    : member.lease !== undefined;
}

/** The error, once all is undone as far as it can be. */
async function rolledBack(
  error: unknown,
  undo: readonly (() => unknown)[],
): Promise<unknown> {
  const failures: unknown[] = [];
  for (const step of undo.toReversed()) {
    try {
      await step();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0 && error instanceof SandboxError) {
    error.undoFailures = [...error.undoFailures, ...failures];
  }
  return error;
}

/** @throws {SandboxError} `InvalidSpec` */
function storeOf(options: NormalisedJoinOptions): ClusterStore {
  const { etcd, peers, cluster, leaseSeconds } = options;
  // The options are checked: it is one of them.
  if (etcd === undefined) return new StaticStore(peers ?? "");
  try {
    return new EtcdStore({ ...etcd, cluster, leaseSeconds });
  } catch (error) {
    // Certificates and keys are read by the runtime.
    if (!(error instanceof TypeError)) throw error;
    throw new SandboxError("InvalidSpec", {
      problems: [{
        path: "etcd",
        message:
          `has certificates or a key that cannot be used: ${error.message}`,
      }],
    }, { cause: error });
  }
}

/** What the node has to tell of itself, looked up anew each time. */
function endpointReader(
  { node, addresses: given }: NormalisedJoinOptions,
  namespace: NetworkNamespace,
): (
  settings: ClusterSettings,
  stored: readonly string[] | undefined,
) => OwnEndpoint {
  return ({ backend, vni, vxlanPort, podCidrs }, stored) => {
    const underlay = underlayOf(namespace);
    const addresses = given ?? stored ?? underlay.addresses;
    return ownEndpoint(
      node.name,
      { mtu: underlay.mtu, addresses: addresses.slice(0, MAX_ADDRESSES) },
      { backend, vni, vxlanPort, clusterCidrs: podCidrs },
    );
  };
}

/**
 * What the node has to reach besides other nodes, by address. Not in it are an etcd that is named by a host name, and one that
 * is reached from another namespace.
 */
function neededBy(
  { etcd }: NormalisedJoinOptions,
  namespace: NetworkNamespace,
): ReadonlyMap<string, string> {
  using current = NetworkNamespace.current();
  const endpoints = current.id === namespace.id ? etcd?.endpoints ?? [] : [];
  const own = allAddresses(namespace);
  return new Map([
    ...endpoints.map((url) => new URL(url).hostname.replace(/[[\]]/g, ""))
      .filter((host) => /^[\d.]+$|:/.test(host) && !own.includes(host))
      .map((address) => [address, "the etcd"] as const),
    ...defaultGateways(namespace)
      .map((address) => [address, "the default gateway"] as const),
  ]);
}

/** @throws {SandboxError} `InvalidSpec` when others could not reach the node: tunnels begin at these addresses, too */
function reachable(
  { podMtu: _, ...endpoint }: OwnEndpoint,
  namespace: NetworkNamespace,
) {
  const has = allAddresses(namespace).filter((text) =>
    canBeReached(rememberedAddress(text).value)
  );
  const foreign = endpoint.addresses.find((address) => !has.includes(address));
  const message = foreign !== undefined
    ? `${foreign} is no address of this node that others can reach: it has ${
      has.join(", ") || "none"
    }`
    : endpoint.addresses.length === 0
    ? "are missing: the node has none that others could reach it by, so write them, or give it one"
    : undefined;
  if (message === undefined) return endpoint;
  throw new SandboxError("InvalidSpec", {
    problems: [{ path: "addresses", message }],
  });
}

/** The place is of no use; what was reserved stays so. */
async function giveUp(
  store: ClusterStore,
  { lease, self: { name } }: Place,
  leaseSeconds: number,
): Promise<void> {
  using limit = new Limit(undefined, leaseSeconds * 1000);
  try {
    await store.release(lease, { name, podCidrs: [] }, {
      signal: limit.signal,
    });
  } catch (error) {
    // It ends by itself.
    if (!isStoreError(error) && !limit.isOver) throw error;
  }
}

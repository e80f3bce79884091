/**
 * What is asked of clusters, loaded when it is asked: programs that make pods need none of it.
 *
 * @module
 */
import type { NodeRemoval, NodeRemoveOptions } from "../sandbox/node.ts";
import type { NodeOptions } from "../spec/node_options.ts";
import type { Cluster } from "./cluster.ts";
import type { JoinOptions } from "./join_options.ts";
import type { ClusterView } from "./read_cluster.ts";

/**
 * Joins a cluster: the node leases a pod network of each IP version of the cluster's, is opened with them, and has paths to
 * the pods of all nodes that are there when this resolves. From then on this process keeps the place, until it ends or
 * disposes the result, and paths follow who comes and goes.
 *
 * One process of a node does this; others open the node as always. A node that returns gets the networks that it had, by its
 * name. While the store does not answer, all goes on, and pods get addresses until the lease ends: then, in every process,
 * creating sandboxes throws `LeaseEnded`, until the node has its networks again.
 *
 * @example
 * ```ts ignore
 * await using cluster = await joinCluster({
 *   etcd: { endpoints: ["http://192.0.2.10:2379"] },
 *   cluster: { podCidrs: ["10.244.0.0/16", "fd00:10:244::/48"] },
 * });
 * const sandbox = await cluster.node.createSandbox({ name: "web-0" });
 * for await (const event of cluster.watch()) console.log(event.type);
 * ```
 *
 * @throws {SandboxError} `InvalidSpec`; `MembershipInUse` when another process keeps the node; `StoreUnreachable`,
 * `StoreRefused`; `ClusterConflict` when the cluster has other settings; `NodeNameInUse`, `PodCidrsExhausted`,
 * `PodCidrInUse`; what `openNode()` throws
 * @throws {PathError} `LinkTaken`
 */
export async function joinCluster(options: JoinOptions): Promise<Cluster> {
  const { joinCluster } = await import("./join.ts");
  return await joinCluster(options);
}

/**
 * Takes a node out of its cluster and down: others may have its pod networks then. End the process that keeps it there
 * before. A node that has lost its state, by a reboot, gives back what the store remembers of its name; one that the store
 * does not know has nothing to leave. Where a file keeps the cluster, what it says of the node stays.
 *
 * @returns what it took away, in plain words
 * @throws {SandboxError} `NotInCluster` when the node is set up without a cluster; `NodeConflict` when it is in another one, and
 * while it has sandboxes, unless forced; what `joinCluster()` throws, since the place is taken once more to be given back
 */
export async function leaveCluster(
  options: JoinOptions & NodeRemoveOptions,
): Promise<readonly string[]> {
  const { leaveCluster } = await import("./leave.ts");
  return await leaveCluster(options);
}

/**
 * Reads what is noted of a node. Any process of the node's user can.
 *
 * @throws {SandboxError} `NotInCluster`, `InvalidSpec`, `RecordInvalid`
 */
export async function readCluster(
  options: Pick<NodeOptions, "name" | "stateDir" | "netns"> = {},
): Promise<ClusterView> {
  const { readCluster } = await import("./read_cluster.ts");
  return await readCluster(options);
}

/**
 * `removeNode()` for a node that may be of a cluster: also forgets what was noted of it. The store is not asked: the node's
 * lease ends by itself, and its networks stay reserved for its name.
 *
 * @throws {SandboxError} `MembershipInUse` while a process keeps the node in its cluster; what `removeNode()` throws
 */
export async function takeNodeDown(
  options:
    & Pick<NodeOptions, "name" | "netns" | "stateDir">
    & NodeRemoveOptions = {},
): Promise<NodeRemoval> {
  const { takeNodeDown } = await import("./take_down.ts");
  return await takeNodeDown(options);
}

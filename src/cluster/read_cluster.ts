/**
 * How a node stands to its cluster, for every process.
 *
 * @module
 */
import { hostName } from "../../ffi/process.ts";
import { SandboxError } from "../errors.ts";
import { readNodeLease, remainingMs } from "../sandbox/records/node_lease.ts";
import { openNamespace } from "../sandbox/node/node_settings.ts";
import { type NodeOptions, parseNodeOptions } from "../spec/node_options.ts";
import type { ClusterMember } from "./member.ts";
import { ClusterNotes, type StatusNote } from "./notes.ts";
import type { PathRoute } from "./path_plan.ts";
import { planPaths } from "./plan_paths.ts";
import { underlayOf } from "./underlay.ts";

/** How a node stands to its cluster, as the process that keeps it there has noted. */
export interface ClusterStatus extends StatusNote {
  /** Whether there is such a process. */
  readonly isKept: boolean;
  /** How long the lease is good for yet, in milliseconds; missing when it has no end. */
  readonly leaseRemainingMs?: number;
}

/** A way to pods of another node. */
export interface ClusterRoute {
  /** Name of the node; missing for what nobody has. */
  readonly node?: string;
  /** The network. */
  readonly destination: string;
  /** `route`: over the segment; `unreachable`: nobody has it, or the node cannot be reached; else the tunnel's kind. */
  readonly path: "route" | "vxlan" | "wireguard" | "unreachable";
  /** Name of the link. */
  readonly link?: string;
  /** The next hop. */
  readonly gateway?: string;
}

/** A node and its cluster. */
export interface ClusterView {
  /** How the node stands. */
  readonly status: ClusterStatus;
  /** Who else is there, by name. */
  readonly members: readonly ClusterMember[];
  /** The ways to their pods, in the order of their networks. */
  readonly routes: readonly ClusterRoute[];
}

/** See `entry.ts`. */
export async function readCluster(
  options: Pick<NodeOptions, "name" | "stateDir" | "netns"> = {},
): Promise<ClusterView> {
  const { name, stateDir, netns } = parseNodeOptions(options, hostName);
  const notes = new ClusterNotes(stateDir, name);
  const noted = notes.readStatus();
  if (noted === undefined) {
    throw new SandboxError("NotInCluster", { name, stateDir });
  }
  const lease = readNodeLease({ directory: `${stateDir}/${name}` });
  const remaining = lease === undefined ? 0 : Math.max(0, remainingMs(lease));
  const isKept = await notes.isKept();
  const members = notes.readMembers();
  const status = {
    ...noted,
    ...isKept ? overdue(noted, remaining) : forsaken(remaining),
    isKept,
    ...Number.isFinite(remaining) && { leaseRemainingMs: remaining },
  };
  return { status, members, routes: routesOf(status, members, netns) };
}

type Standing = Pick<StatusNote, "state" | "reason">;

/** Whoever keeps the node may be stopped, and then notes nothing more. */
function overdue(
  { state }: StatusNote,
  remaining: number,
): Partial<Standing> {
  return remaining > 0 || state === "expired" ? {} : {
    state: "expired",
    reason:
      "the process that keeps the node in its cluster has not renewed its lease: see whether it runs",
  };
}

function forsaken(remaining: number): Standing {
  return {
    state: remaining > 0 ? "disconnected" : "expired",
    reason:
      "no process keeps the node in its cluster: run podnet node up, or joinCluster()",
  };
}

/** The ways that follow from what is noted and from what the node has now. */
function routesOf(
  { self, settings }: StatusNote,
  members: readonly ClusterMember[],
  netns: NodeOptions["netns"],
): ClusterRoute[] {
  using opened = new DisposableStack();
  const { podCidrs: clusterCidrs, backend, vni, vxlanPort } = settings;
  const plan = planPaths({
    underlay: underlayOf(openNamespace(opened, netns)),
    self,
    members,
    options: { backend, vni, vxlanPort, clusterCidrs },
  });
  return plan.routes.filter(({ ofPods }) => ofPods === undefined).map(
    (route) => {
      const { destination, member: node, hop } = route;
      return {
        ...node !== undefined && { node },
        destination,
        path: pathOf(route),
        ...hop !== undefined && { link: hop.link },
        ...hop?.gateway !== undefined && { gateway: hop.gateway },
      };
    },
  );
}

function pathOf({ hop }: PathRoute): ClusterRoute["path"] {
  if (hop === undefined) return "unreachable";
  if (!hop.link.startsWith("podnet-")) return "route";
  return hop.link.startsWith("podnet-wg") ? "wireguard" : "vxlan";
}

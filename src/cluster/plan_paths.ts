/**
 * Decides by which way a node reaches each of the others: pure.
 *
 * @module
 */
import type { ClusterMember } from "./member.ts";
import type { NormalisedPathOptions } from "./path_options.ts";
import type { PathPlan } from "./path_plan.ts";
import { PathPlanner } from "./path_planner.ts";
import type { Underlay } from "./underlay.ts";
import { atOnce } from "../steps.ts";

/**
 * Plans the paths.
 *
 * - Pods of a node on a common segment are reached by a plain route over that segment, decided for each IP version.
 * - All others are reached through a tunnel, IPv4 and IPv6 pods by the same one. Each peer has one static forwarding entry,
 *   and one static neighbour an IP version: nothing is learnt, nothing is asked for, nothing goes to everybody.
 * - What the node itself sends through a tunnel has its gateway address as its source, which the peer routes back into the
 *   tunnel: the node's own address would be answered outside of it, and dropped by a strict rp_filter. What pods send to
 *   the address of a node behind a tunnel goes through the tunnel for the same reason, and since no router on the way need
 *   know pods' addresses. The node's own packets to that address, tunnels among them, do not.
 * - The pods of a member are nobody else's. Of members that claim the same, the first by name has it.
 *
 * @param self this node, also if it is among the members
 */
export function planPaths(
  { underlay, self, members, options }: {
    readonly underlay: Underlay;
    readonly self: ClusterMember;
    readonly members: readonly ClusterMember[];
    readonly options: NormalisedPathOptions;
  },
): PathPlan {
  const planner = new PathPlanner({ underlay, self, options });
  atOnce(planner.update(members));
  return planner.plan;
}

/**
 * A routing table of its own for the pod's own link, once the pod gets another interface: the main table leads to that one's
 * network by it, and the node takes what is from the pod's own addresses from the pod's own link alone.
 *
 * @module
 */
import {
  missingPodRoutes,
  podRouteRequests,
  releasePodRules,
  routedRoutes,
} from "../../attachment/pod_routes.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { NodeContext } from "../node/context.ts";
import type { SandboxRecord } from "../records/records.ts";
import { recordedClaims } from "./recorded_wiring.ts";

/**
 * Before another interface is noted, so that one that is noted finds it there. It stays when the last one goes, or the first
 * one fails: what it leads by the pod's own link goes by that anyway then.
 */
export function giveOwnTable(
  context: NodeContext,
  record: SandboxRecord,
  podRoute: Connection,
): void {
  const { link, spec: { defaultRoute } } = record;
  // Without the default routes it has had one from the beginning.
  if (link === undefined || !defaultRoute) return;
  const { podIndex } = link;
  const wanted = routedRoutes(
    { podIndex, defaultRoute: false, ownTable: true, routes: [] },
    recordedClaims(context, record),
  );
  if (missingPodRoutes(podRoute, wanted).length === 0) return;
  releasePodRules(podRoute, podIndex);
  podRoute.execute(podRouteRequests(wanted));
}

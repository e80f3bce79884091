/**
 * The routes of a pod over one of its interfaces.
 *
 * An interface without the pod's default routes must still answer from its own addresses by itself, since the node takes
 * them from no other link: a rule leads what comes from them to a routing table that has the interface's number.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { Cidr } from "../net/cidr.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Request } from "../netlink/message.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { RT_TABLE_MAIN } from "../rtnetlink/constants.ts";
import {
  deletePolicyRule,
  dumpPolicyRules,
  newPolicyRule,
  type PolicyRule,
} from "../rtnetlink/policy_rule.ts";
import {
  type Destination,
  dumpRoutes,
  newRoute,
  ROUTE_PROTOCOL,
} from "../rtnetlink/route.ts";
import type { ClaimedAddress } from "./address_claims.ts";

/** After the local table (0), before the main one (32766) and what people choose (32765 and down). */
const RULE_PRIORITY = 1120;

/** What is routed over an interface of a pod. */
export interface PodRouting {
  /** Interface index. */
  readonly podIndex: number;
  /** Whether the pod's default routes are. */
  readonly defaultRoute: boolean;
  /** Other networks, all by way of the gateway of their family. */
  readonly routes: readonly Cidr[];
}

interface WantedRoute extends ClaimedAddress {
  readonly destination: Destination;
  readonly table: number;
}

function wantedRoutes(
  { podIndex, defaultRoute, routes }: PodRouting,
  claimed: readonly ClaimedAddress[],
): WantedRoute[] {
  return claimed.flatMap((claim): WantedRoute[] => [
    {
      ...claim,
      destination: "default",
      table: defaultRoute ? RT_TABLE_MAIN : podIndex,
    },
    ...routes.filter(({ family }) => family === claim.address.family)
      .map((destination) => ({ ...claim, destination, table: RT_TABLE_MAIN })),
  ]);
}

function wantedRules(
  { podIndex, defaultRoute }: PodRouting,
  claimed: readonly ClaimedAddress[],
) {
  return defaultRoute ? [] : claimed.map(({ address }) => ({
    source: Cidr.host(address),
    table: podIndex,
    priority: RULE_PRIORITY,
  }));
}

/** The pod's messages that make the routes. Its rules must not be there yet: see {@linkcode releasePodRules}. */
export function podRoutes(
  routing: PodRouting,
  claimed: readonly ClaimedAddress[],
): Request<unknown, unknown>[] {
  return [
    ...wantedRoutes(routing, claimed).map(
      ({ destination, table, address: { family }, gateway }) =>
        newRoute({
          ...destination === "default"
            ? { destination, family }
            : { destination },
          index: routing.podIndex,
          table,
          gateway,
          onlink: true,
        }),
    ),
    ...wantedRules(routing, claimed).map(newPolicyRule),
  ];
}

/** Routes and rules that the pod does not have, in words. */
export function missingPodRoutes(
  podRoute: Connection,
  routing: PodRouting,
  claimed: readonly ClaimedAddress[],
): string[] {
  const { podIndex: index } = routing;
  const wanted = wantedRoutes(routing, claimed);
  const routes = [...new Set(wanted.map(({ table }) => table))]
    .flatMap((table) => podRoute.dump(dumpRoutes({ index, table })));
  const rules = wantedRules(routing, claimed);
  const there = rules.length === 0 ? [] : podRules(podRoute, index);
  return [
    ...wanted.filter(({ destination, table, gateway }) =>
      !routes.some((route) =>
        String(route.destination) === String(destination) &&
        route.table === table && route.gateway?.equals(gateway)
      )
    ).map(({ destination, gateway }) =>
      `${
        destination === "default" ? "default route" : `route to ${destination}`
      } via ${gateway}`
    ),
    ...rules.filter(({ source }) =>
      !there.some((rule) => rule.source?.equals(source))
    ).map(({ source }) => `rule for what is from ${source.network}`),
  ];
}

/** Takes the interface's rules away: they do not go with it. */
export function releasePodRules(podRoute: Connection, podIndex: number): void {
  for (const { source, table, priority } of podRules(podRoute, podIndex)) {
    if (source === undefined) continue;
    try {
      podRoute.execute([deletePolicyRule({ source, table, priority })]);
    } catch (error) {
      if (!isNetlinkError(error, Errno.ENOENT)) throw error;
    }
  }
}

function podRules(podRoute: Connection, podIndex: number): PolicyRule[] {
  return ([4, 6] as const).flatMap((family) =>
    podRoute.dump(dumpPolicyRules(family))
  ).filter(({ protocol, table }) =>
    protocol === ROUTE_PROTOCOL && table === podIndex
  );
}

/**
 * The routes of a pod over one of its interfaces.
 *
 * What comes from an interface's own addresses must leave by it, since nobody else takes them. So an interface without the
 * pod's default routes, or beside others to whose networks the main table leads by them, has a routing table of its own,
 * with the interface's number, and a rule leads there.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { Cidr } from "../net/cidr.ts";
import type { IpAddress, IpFamily } from "../net/ip.ts";
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

/** A route of a pod. */
export interface PodRoute {
  readonly destination: Destination;
  readonly family: IpFamily;
  /** None on the interface's own network. */
  readonly gateway?: IpAddress;
  readonly table: number;
}

/** What is routed over an interface of a pod. */
export interface PodRoutes {
  /** Interface index, and number of its table. */
  readonly index: number;
  readonly routes: readonly PodRoute[];
  /** What comes from these looks up the interface's own table. */
  readonly sources: readonly IpAddress[];
}

/** What is routed over a routed interface. */
export interface PodRouting {
  /** Interface index. */
  readonly podIndex: number;
  /** Whether the pod's default routes are. */
  readonly defaultRoute: boolean;
  /** Whether what comes from its addresses looks up a table of its own: always without the default routes. */
  readonly ownTable: boolean;
  /** Other networks, all by way of the gateway of their family. */
  readonly routes: readonly Cidr[];
}

/** The routes of a routed interface. */
export function routedRoutes(
  { podIndex: index, defaultRoute, ownTable, routes }: PodRouting,
  claimed: readonly ClaimedAddress[],
): PodRoutes {
  const tables = [
    ...defaultRoute ? [RT_TABLE_MAIN] : [],
    ...ownTable ? [index] : [],
  ];
  return {
    index,
    routes: claimed.flatMap(({ address: { family }, gateway }): PodRoute[] => [
      ...tables.map((table) =>
        ({ destination: "default", family, gateway, table }) as const
      ),
      ...routes.filter((network) => network.family === family).map(
        (destination) => ({
          destination,
          family,
          gateway,
          table: RT_TABLE_MAIN,
        }),
      ),
    ]),
    sources: ownTable ? claimed.map(({ address }) => address) : [],
  };
}

function wantedRules({ index, sources }: PodRoutes) {
  return sources.map((address) => ({
    source: Cidr.host(address),
    table: index,
    priority: RULE_PRIORITY,
  }));
}

/** The pod's messages that make the routes. Its rules must not be there yet: see {@linkcode releasePodRules}. */
export function podRouteRequests(
  wanted: PodRoutes,
): Request<unknown, unknown>[] {
  return [
    ...wanted.routes.map(({ destination, family, table, gateway }) =>
      newRoute({
        ...destination === "default"
          ? { destination, family }
          : { destination },
        index: wanted.index,
        table,
        ...gateway === undefined ? {} : { gateway, onlink: true },
      })
    ),
    ...wantedRules(wanted).map(newPolicyRule),
  ];
}

/** Routes and rules that the pod does not have, in words. */
export function missingPodRoutes(
  podRoute: Connection,
  wanted: PodRoutes,
): string[] {
  const { index } = wanted;
  const tables = new Set(wanted.routes.map(({ table }) => table));
  const routes = [...tables]
    .flatMap((table) => podRoute.dump(dumpRoutes({ index, table })));
  const rules = wantedRules(wanted);
  const there = rules.length === 0 ? [] : podRules(podRoute, index);
  return [
    ...wanted.routes.filter(({ destination, family, table, gateway }) =>
      !routes.some((route) =>
        route.family === family && route.table === table &&
        String(route.destination) === String(destination) &&
        String(route.gateway) === String(gateway)
      )
    ).map(({ destination, gateway }) =>
      [
        destination === "default" ? "default route" : `route to ${destination}`,
        ...gateway === undefined ? [] : [`via ${gateway}`],
      ].join(" ")
    ),
    ...rules.filter(({ source }) =>
      !there.some((rule) => rule.source?.equals(source))
    ).map(({ source }) => `rule for what is from ${source.network}`),
  ];
}

/** Takes the interface's rules away: they do not go with it. */
export function releasePodRules(podRoute: Connection, index: number): void {
  for (const { source, table, priority } of podRules(podRoute, index)) {
    if (source === undefined) continue;
    try {
      podRoute.execute([deletePolicyRule({ source, table, priority })]);
    } catch (error) {
      if (!isNetlinkError(error, Errno.ENOENT)) throw error;
    }
  }
}

function podRules(podRoute: Connection, index: number): PolicyRule[] {
  return ([4, 6] as const).flatMap((family) =>
    podRoute.dump(dumpPolicyRules(family))
  ).filter(({ protocol, table }) =>
    protocol === ROUTE_PROTOCOL && table === index
  );
}

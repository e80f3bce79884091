/**
 * Marks of what a node has in the kernel to reach other nodes' pods, and how all of it goes: no other node need be known.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import type { Cidr } from "../../net/cidr.ts";
import type { IpFamily } from "../../net/ip.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { Request } from "../../netlink/message.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { deleteLink, dumpLinks, type Link } from "../../rtnetlink/link.ts";
import {
  deletePolicyRule,
  dumpPolicyRules,
  type PolicyRule,
} from "../../rtnetlink/policy_rule.ts";
import { deleteRoute, dumpRoutes, type Route } from "../../rtnetlink/route.ts";

/** Routing protocol number of these routes and rules. Pods' own routes have another, `ROUTE_PROTOCOL`. */
export const PATH_PROTOCOL = 113;
/** The lowest metric of these routes: nobody else's route is replaced by one of them. */
const PATH_METRIC = 113;
/** The table that only packets of the node's pods look up. */
export const PATH_TABLE = 7113;
/** Priority of the rules that lead there: before the main table, 32766. */
export const PATH_RULE_PRIORITY = 7113;

/**
 * Metric of the route to a network: of IPv4, one of 256. Among routes that have it, their source and their link in common the
 * kernel looks for the next hop of a new one by going through all of them (fib_find_info, net/ipv4/fib_semantics.c): with one
 * metric the 10,000th route through a tunnel took 270 µs, with 256 it takes 3.
 */
export function pathMetric({ family, network: { bytes } }: Cidr): number {
  if (family === 6) return PATH_METRIC;
  const number = bytes.reduce((sum, byte) => sum << 8 | byte, 0);
  // The highest bits depend on all others (Knuth, multiplicative hashing).
  return PATH_METRIC + (Math.imul(number, 0x9e3779b1) >>> 24);
}

/** IFLA_IFALIAS of a node's tunnels. */
export function tunnelAlias(node: string): string {
  return `podnet-path:${node}`;
}

/** The tunnels of a node, by their alias. */
export function pathTunnels(route: Connection, node: string): Link[] {
  return route.dump(dumpLinks({ kind: "vxlan" }))
    .filter(({ alias }) => alias === tunnelAlias(node));
}

/** Asks for the routes to other nodes' pods, of whatever table. */
export function pathRoutes(family: IpFamily): Request<unknown, Route> {
  return dumpRoutes({ protocol: PATH_PROTOCOL, family });
}

/** The rules by which pods' packets find their own table. */
export function pathRules(route: Connection): PolicyRule[] {
  return ([4, 6] as const)
    .flatMap((family) => route.dump(dumpPolicyRules(family)))
    .filter(({ protocol }) => protocol === PATH_PROTOCOL);
}

/**
 * Takes all of it away: rules and routes first, so that nothing is led into a tunnel that is gone.
 *
 * @returns what was removed, in plain words
 */
export function removePathParts(route: Connection, node: string): string[] {
  const removed: string[] = [];
  const remove = (object: string, request: Request<unknown>) => {
    try {
      route.execute([request]);
      removed.push(object);
    } catch (error) {
      // Somebody was faster, or it went with its link.
      if (
        !isNetlinkError(error, Errno.ESRCH, Errno.ENOENT, Errno.ENODEV)
      ) throw error;
    }
  };
  for (const { source, ...rest } of pathRules(route)) {
    if (source === undefined) continue;
    const rule = { ...rest, source, protocol: PATH_PROTOCOL };
    remove(`rule from ${source}`, deletePolicyRule(rule));
  }
  const routes = ([4, 6] as const).flatMap((family) =>
    route.dump(pathRoutes(family))
  );
  for (const { destination, family, table, priority } of routes) {
    const options = {
      table,
      protocol: PATH_PROTOCOL,
      ...priority === undefined ? {} : { priority },
    };
    remove(
      `route to ${destination}`,
      deleteRoute(
        destination === "default"
          ? { ...options, destination, family }
          : { ...options, destination },
      ),
    );
  }
  for (const { name, index } of pathTunnels(route, node)) {
    remove(`link ${name}`, deleteLink({ index }));
  }
  return removed;
}

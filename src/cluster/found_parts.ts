/**
 * What the kernel has of paths.
 *
 * @module
 */
import type { Connection } from "../netlink/connection.ts";
import { dumpForwardingEntries } from "../rtnetlink/forwarding.ts";
import type { Link } from "../rtnetlink/link.ts";
import { dumpNeighbours } from "../rtnetlink/neighbour.ts";
import { deletePolicyRule } from "../rtnetlink/policy_rule.ts";
import { deleteRoute, type Route } from "../rtnetlink/route.ts";
import {
  PATH_PROTOCOL,
  PATH_RULE_PRIORITY,
  PATH_TABLE,
  pathRoutes,
  pathRules,
} from "../sandbox/path_parts.ts";
import {
  forwardingPart,
  neighbourPart,
  type Part,
  type Parts,
  routeKey,
  routeValue,
  rulePart,
} from "./parts.ts";

/**
 * Reads them: all that is in the tunnels, and the routes and rules of the protocol.
 *
 * @throws {NetlinkError}
 */
export function findParts(route: Connection, tunnels: readonly Link[]): Parts {
  const parts: Part[] = [];
  for (const { index, name } of tunnels) {
    for (
      const { mac, remote, isSelf } of route.dump(
        dumpForwardingEntries({ index }),
      )
    ) {
      if (remote === undefined || !isSelf) continue;
      parts.push(forwardingPart({ index, mac, remote }, name));
    }
    for (
      const { address, mac, permanent } of route.dump(dumpNeighbours({ index }))
    ) {
      if (!permanent || mac === undefined) continue;
      parts.push(neighbourPart({ index, address, mac }, name));
    }
  }
  for (const found of pathRoutes(route)) parts.push(foundRoute(found));
  for (const { source, table, priority } of pathRules(route)) {
    if (source === undefined) continue;
    const rule = rulePart(source);
    const isRight = table === PATH_TABLE && priority === PATH_RULE_PRIORITY;
    parts.push(
      isRight ? rule : {
        ...rule,
        key: `${rule.key} ${table} ${priority}`,
        remove: () =>
          deletePolicyRule({
            source,
            table,
            priority,
            protocol: PATH_PROTOCOL,
          }),
      },
    );
  }
  return new Map(parts.map((part) => [part.key, part]));
}

function foundRoute(route: Route): Part {
  const { destination, family, table, priority = 0 } = route;
  const options = { table, priority, protocol: PATH_PROTOCOL };
  return {
    kind: "route",
    key: routeKey({ destination, table, priority }),
    value: routeValue(route),
    text: `route ${destination}`,
    put: () => {
      throw new TypeError(`route ${destination} is found, not planned`);
    },
    remove: () =>
      deleteRoute(
        destination === "default"
          ? { ...options, destination, family }
          : { ...options, destination },
      ),
  };
}

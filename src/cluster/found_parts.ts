/**
 * What the kernel has of paths.
 *
 * @module
 */
import type { Connection } from "../netlink/connection.ts";
import { dumpAddresses } from "../rtnetlink/address.ts";
import { dumpForwardingEntries } from "../rtnetlink/forwarding.ts";
import type { Link } from "../rtnetlink/link.ts";
import { dumpNeighbours } from "../rtnetlink/neighbour.ts";
import { deletePolicyRule } from "../rtnetlink/policy_rule.ts";
import { deleteRoute, type Route } from "../rtnetlink/route.ts";
import {
  PATH_PROTOCOL,
  pathRoutes,
  pathRules,
} from "../sandbox/node/path_parts.ts";
import {
  addressPart,
  forwardingPart,
  neighbourPart,
  type Part,
  type Parts,
  routeKey,
  routeValue,
  ruleKey,
  rulePart,
} from "./parts.ts";
import type { Steps } from "../steps.ts";

/**
 * Reads them: all that is in the tunnels, and the routes and rules of the protocol.
 *
 * @throws {NetlinkError}
 */
export function* findParts(
  route: Connection,
  tunnels: readonly Link[],
): Steps<Parts> {
  const parts = new Map<string, Part>();
  const add = (part: Part) => void parts.set(part.key, part);
  for (const { index, name } of tunnels) {
    yield;
    for (
      const { address } of route.dump(dumpAddresses({ index, family: 4 }))
    ) add(addressPart({ index, address }, name));
    for (
      const { mac, remote, isSelf } of yield* route.dumpInSteps(
        dumpForwardingEntries({ index }),
      )
    ) {
      yield;
      if (remote === undefined || !isSelf) continue;
      add(forwardingPart({ index, mac, remote }, name));
    }
    for (
      const { address, mac, permanent } of yield* route.dumpInSteps(
        dumpNeighbours({ index }),
      )
    ) {
      yield;
      if (!permanent || mac === undefined) continue;
      add(neighbourPart({ index, address, mac }, name));
    }
  }
  for (const family of [4, 6] as const) {
    for (const found of yield* route.dumpInSteps(pathRoutes(family))) {
      yield;
      add(foundRoute(found));
    }
  }
  yield;
  for (const { source, ...rest } of pathRules(route)) {
    if (source === undefined) continue;
    add({
      ...rulePart(source),
      key: `rule ${source} ${ruleKey(rest)}`,
      remove: () =>
        deletePolicyRule({ ...rest, source, protocol: PATH_PROTOCOL }),
    });
  }
  return parts;
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

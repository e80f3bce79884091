/**
 * Which links lead away from the node.
 *
 * @module
 */
import type { IpFamily } from "../../net/ip.ts";
import { RT_SCOPE_UNIVERSE, RT_TABLE_MAIN } from "../../rtnetlink/constants.ts";
import type { LinkFacts, NetworkFacts } from "../facts/network.ts";

/** Links that are up, have an address that others can use, and are no pod's. */
export function uplinks(network: NetworkFacts): LinkFacts[] {
  return network.links.filter(({ up, name, ofPod }) =>
    up && !ofPod && name !== "lo" &&
    network.addresses.some(({ link, scope }) =>
      link === name && scope === RT_SCOPE_UNIVERSE
    )
  );
}

/** Links that default routes of a family lead to, the preferred one first. */
export function defaultLinks(
  network: NetworkFacts,
  family: IpFamily,
): LinkFacts[] {
  const names = network.routes.filter((route) =>
    route.family === family && route.destination === "default" &&
    route.type === "unicast" && route.table === RT_TABLE_MAIN
  ).toSorted((a, b) => (a.priority ?? 0) - (b.priority ?? 0))
    .map(({ link }) => link);
  return [...new Set(names)].flatMap((name) =>
    network.links.find((link) => link.name === name) ?? []
  );
}

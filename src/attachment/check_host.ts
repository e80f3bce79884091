/**
 * How the node's end of a pod's link differs from what it should be.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import type { Connection } from "../netlink/connection.ts";
import { RT_TABLE_MAIN } from "../rtnetlink/constants.ts";
import type { Link } from "../rtnetlink/link.ts";
import { newNeighbour } from "../rtnetlink/neighbour.ts";
import {
  dumpRoutes,
  matchRoute,
  newRoute,
  type Route,
  ROUTE_PROTOCOL,
} from "../rtnetlink/route.ts";
import {
  endDifferences,
  neighbourProblem,
  type WiringDifference,
} from "./difference.ts";
import { aliasAt, findLink, orNone } from "./questions.ts";
import { shapingDifferences } from "./check_bandwidth.ts";
import { type ClaimedAddress, NO_ROUTE } from "./address_claims.ts";
import { HOST_IPV4, HOST_MAC, type PodLink } from "./pod_link.ts";

/**
 * Compares the node's end of a link that is there, and what of the node leads to it.
 *
 * @param newIndex makes a number that no link has
 * @returns undefined when the link is gone
 */
export function hostDifferences(
  route: Connection,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
  newIndex: () => number,
): WiringDifference[] | undefined {
  const { hostIndex: index, hostInterface } = link;
  const end = findLink(route, index);
  if (end === undefined || !isOwn(end, link)) return undefined;
  return [
    ...endDifferences(end, {
      object: `link ${hostInterface}`,
      name: hostInterface,
      alias: link.alias,
      mtu: link.mtu,
      mac: HOST_MAC,
      ipv4: HOST_IPV4,
      isFree: true,
      ...(link.ipv6 ? { addrGenMode: "none" } : {}),
    }, (change) => route.execute([change])),
    ...shapingDifferences(route, link, newIndex),
    ...claimDifferences(route, link, claimed, end.up),
  ];
}

/**
 * Whether the kernel's link of the recorded number is the pod's. A record that lies must not have another pod's link, or
 * the node's own, made into this one's.
 */
function isOwn(
  { name, alias }: Link,
  link: Pick<PodLink, "hostInterface" | "alias">,
): boolean {
  return alias === link.alias ||
    name === link.hostInterface && alias?.startsWith("podnet:") !== true;
}

function claimDifferences(
  route: Connection,
  { hostIndex: index, hostInterface, mac }: PodLink,
  claimed: readonly ClaimedAddress[],
  isUp: boolean,
): WiringDifference[] {
  const found: WiringDifference[] = [];
  for (const claim of claimed) {
    const { address } = claim;
    found.push(...routeDifferences(route, index, claim, isUp));
    const problem = neighbourProblem(route, index, address, mac);
    if (problem === undefined) continue;
    found.push({
      object: `neighbour ${address} on ${hostInterface}`,
      problem,
      does: "sets it",
      mend: () => route.execute([newNeighbour({ index, address, mac })]),
    });
  }
  return found;
}

function routeDifferences(
  route: Connection,
  index: number,
  { address, gateway }: ClaimedAddress,
  isUp: boolean,
): WiringDifference[] {
  const destination = Cidr.host(address);
  const way = orNone(route, matchRoute(address), ...NO_ROUTE);
  if (
    way !== undefined && way.index === index && leadsTo(way, destination) &&
    way.source?.equals(gateway)
  ) return [];
  // Only now, since it reads all routes.
  const there = route.dump(dumpRoutes({ index, table: RT_TABLE_MAIN }))
    .find((r) => leadsTo(r, destination));
  const object = `route to ${destination}`;
  if (there === undefined) {
    const taker = aliasAt(route, way);
    if (taker !== undefined) {
      return [{
        object,
        problem: `leads to ${taker}`,
        advice: "remove one of the two sandboxes",
      }];
    }
  } else if (there.source?.equals(gateway)) {
    // Of a link that is down it is not the way.
    if (!isUp || way?.index === index) return [];
    return [{
      object,
      problem: `is overruled: packets leave by ${describeLink(route, way)}`,
      advice: `remove the rule or route that does so (ip route get ${address})`,
    }];
  }
  return [{
    object,
    problem: there === undefined
      ? "is missing"
      : `has source ${there.source ?? "none"}, not ${gateway}`,
    does: "adds it",
    // One that somebody put in its place gives way: the element of the node's table says whose the address is.
    mend: () =>
      route.execute([newRoute({
        destination,
        index,
        source: gateway,
        protocol: ROUTE_PROTOCOL,
      })]),
  }];
}

function describeLink(route: Connection, way: Route | undefined): string {
  const name = way?.index === undefined
    ? undefined
    : findLink(route, way.index)?.name;
  return name === undefined ? "no link" : `link ${name}`;
}

function leadsTo(route: Route, destination: Cidr): boolean {
  return route.protocol === ROUTE_PROTOCOL && route.destination !== "default" &&
    String(route.destination) === String(destination);
}

/**
 * How a pod's wiring differs from what it should be.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { Cidr } from "../net/cidr.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { dumpAddresses } from "../rtnetlink/address.ts";
import { getLink, type Link, setLink } from "../rtnetlink/link.ts";
import { dumpNeighbours } from "../rtnetlink/neighbour.ts";
import { dumpRoutes, type Route, ROUTE_PROTOCOL } from "../rtnetlink/route.ts";
import {
  attachPod,
  type ClaimedAddress,
  claimRequests,
  type PodLink,
} from "./routed_veth.ts";

/** One thing that differs, and what mends it, if anything short of a new sandbox does. */
export interface WiringDifference {
  readonly object: string;
  readonly problem: string;
  readonly mend?: () => void;
}

/** Compares both ends of a pod's link with what {@linkcode attachPod} and its sisters had made. */
export function attachmentDifferences(
  route: Connection,
  openPod: () => NetworkNamespace,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
): WiringDifference[] {
  const host = findLink(route, link.hostIndex);
  const object = `link ${link.hostInterface}`;
  if (host === undefined) return [{ object, problem: "is gone" }];
  const found: WiringDifference[] = [];
  const mendHost = () => {
    route.execute([setLink({ index: link.hostIndex, up: true })]);
    for (const { address, gateway } of claimed) {
      route.execute(
        claimRequests(link, address, gateway, { exclusive: false }),
      );
    }
  };
  if (!host.up) found.push({ object, problem: "is down", mend: mendHost });
  const routes = route.dump(dumpRoutes({ index: link.hostIndex }));
  const neighbours = route.dump(dumpNeighbours({ index: link.hostIndex }));
  for (const { address } of claimed) {
    const destination = Cidr.host(address);
    if (!routes.some((r) => leadsTo(r, destination))) {
      found.push({
        object: `route to ${destination}`,
        problem: "is missing",
        mend: mendHost,
      });
    }
    const neighbour = neighbours.find((n) => n.address.equals(address));
    if (!neighbour?.permanent || !neighbour.mac?.equals(link.mac)) {
      found.push({
        object: `neighbour ${address} on ${link.hostInterface}`,
        problem: neighbour === undefined ? "is missing" : "is another MAC",
        mend: mendHost,
      });
    }
  }
  return [...found, ...podDifferences(openPod, link, claimed)];
}

function podDifferences(
  openPod: () => NetworkNamespace,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
): WiringDifference[] {
  using podRoute = routeOf(openPod);
  const mend = () => {
    using podRoute = routeOf(openPod);
    attachPod(podRoute, claimed);
  };
  const found: WiringDifference[] = [];
  for (const [index, name] of [[1, "lo"], [2, link.interfaceName]] as const) {
    const object = `pod's link ${name}`;
    const end = findLink(podRoute, index);
    if (end === undefined) return [{ object, problem: "is gone" }];
    if (!end.up) found.push({ object, problem: "is down", mend });
  }
  const addresses = podRoute.dump(dumpAddresses({ index: 2 }));
  const routes = podRoute.dump(dumpRoutes({ index: 2 }));
  for (const { address, gateway } of claimed) {
    if (!addresses.some((a) => a.address.equals(address))) {
      found.push({
        object: `pod's address ${address}`,
        problem: "is missing",
        mend,
      });
    }
    if (
      !routes.some((r) =>
        r.destination === "default" && r.gateway?.equals(gateway)
      )
    ) {
      found.push({
        object: `pod's default route via ${gateway}`,
        problem: "is missing",
        mend,
      });
    }
  }
  return found;
}

function routeOf(openPod: () => NetworkNamespace): Connection {
  using pod = openPod();
  return pod.run(() => Connection.open(NETLINK_ROUTE));
}

function leadsTo(route: Route, destination: Cidr): boolean {
  return route.protocol === ROUTE_PROTOCOL && route.destination !== "default" &&
    String(route.destination) === String(destination);
}

function findLink(route: Connection, index: number): Link | undefined {
  try {
    return route.request(getLink({ index })).at(0);
  } catch (error) {
    if (isNetlinkError(error, Errno.ENODEV)) return undefined;
    throw error;
  }
}

/**
 * How a pod's wiring differs from what it should be.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Connection } from "../netlink/connection.ts";
import { isNetlinkError, NetlinkError } from "../netlink/netlink_error.ts";
import { NETLINK_ROUTE, type Request } from "../netlink/message.ts";
import { dumpAddresses } from "../rtnetlink/address.ts";
import {
  getLink,
  type Link,
  type LinkChanges,
  setLink,
} from "../rtnetlink/link.ts";
import {
  dumpNeighbours,
  type Neighbour,
  newNeighbour,
} from "../rtnetlink/neighbour.ts";
import {
  dumpRoutes,
  getRoute,
  type Route,
  ROUTE_PROTOCOL,
} from "../rtnetlink/route.ts";
import {
  attachPod,
  awaitReady,
  type ClaimedAddress,
  claimRequests,
  HOST_MAC,
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
  return [
    ...hostDifferences(route, link, claimed),
    ...podDifferences(route, openPod, link, claimed),
  ];
}

function hostDifferences(
  route: Connection,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
): WiringDifference[] {
  const { hostIndex: index, hostInterface, mac } = link;
  const end = findLink(route, index);
  const object = `link ${hostInterface}`;
  if (end === undefined) return [{ object, problem: "is gone" }];
  const found = endDifferences(end, { object, mtu: link.mtu }, (change) => {
    route.execute([change]);
  });
  const routes = route.dump(dumpRoutes({ index }));
  const neighbours = route.dump(dumpNeighbours({ index }));
  for (const { address, gateway } of claimed) {
    const destination = Cidr.host(address);
    if (!routes.some((r) => leadsTo(r, destination))) {
      const object = `route to ${destination}`;
      const taker = podAt(route, address);
      found.push(
        taker === undefined
          ? {
            object,
            problem: "is missing",
            mend: () => route.execute(claimRequests(link, address, gateway)),
          }
          : { object, problem: `leads to ${taker}` },
      );
    }
    const problem = neighbourProblem(neighbours, address, mac);
    if (problem === undefined) continue;
    found.push({
      object: `neighbour ${address} on ${hostInterface}`,
      problem,
      mend: () => route.execute([newNeighbour({ index, address, mac })]),
    });
  }
  return found;
}

function podDifferences(
  hostRoute: Connection,
  openPod: () => NetworkNamespace,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
): WiringDifference[] {
  using route = routeOf(openPod);
  const mending = (mend: (route: Connection) => void) => () => {
    using route = routeOf(openPod);
    mend(route);
  };
  const found: WiringDifference[] = [];
  for (
    const [index, name, wanted] of [
      [1, "lo", {}],
      [link.podIndex, link.interfaceName, { mtu: link.mtu, mac: link.mac }],
    ] as const
  ) {
    const object = `pod's link ${name}`;
    const end = findLink(route, index);
    if (end === undefined) return [{ object, problem: "is gone" }];
    found.push(...endDifferences(end, { object, ...wanted }, (change) => {
      mending((route) => route.execute([change]))();
    }));
  }
  const index = link.podIndex;
  const addresses = route.dump(dumpAddresses({ index }));
  const routes = route.dump(dumpRoutes({ index }));
  const neighbours = route.dump(dumpNeighbours({ index }));
  const mend = mending((route) => {
    attachPod(route, link, claimed);
    awaitReady(hostRoute, route, link, claimed);
  });
  for (const { address, gateway } of claimed) {
    const missing = [
      addresses.some((a) => a.address.equals(address))
        ? undefined
        : `pod's address ${address}`,
      routes.some((r) =>
          r.destination === "default" && r.gateway?.equals(gateway)
        )
        ? undefined
        : `pod's default route via ${gateway}`,
    ].filter((object) => object !== undefined);
    for (const object of missing) {
      found.push({ object, problem: "is missing", mend });
    }
    const problem = neighbourProblem(neighbours, gateway, HOST_MAC);
    if (problem !== undefined) {
      found.push({ object: `pod's neighbour ${gateway}`, problem, mend });
    }
  }
  return found;
}

/** Of one end of a link. Mended one by one: a link that comes up has lost its routes, which is told apart. */
function endDifferences(
  { index, up, mtu, mac }: Link,
  wanted: {
    readonly object: string;
    readonly mtu?: number;
    readonly mac?: MacAddress;
  },
  execute: (change: Request<unknown>) => void,
): WiringDifference[] {
  const { object } = wanted;
  const found: WiringDifference[] = [];
  const differs = (problem: string, changes: LinkChanges) =>
    found.push({
      object,
      problem,
      mend: () => execute(setLink({ index, ...changes })),
    });
  if (wanted.mtu !== undefined && mtu !== wanted.mtu) {
    differs(`has MTU ${mtu}, not ${wanted.mtu}`, { mtu: wanted.mtu });
  }
  if (wanted.mac !== undefined && !mac?.equals(wanted.mac)) {
    differs(`has MAC ${mac}, not ${wanted.mac}`, { mac: wanted.mac });
  }
  if (!up) differs("is down", { up: true });
  return found;
}

function neighbourProblem(
  neighbours: readonly Neighbour[],
  address: IpAddress,
  mac: MacAddress,
): string | undefined {
  const found = neighbours.find((n) => n.address.equals(address));
  if (found === undefined) return "is missing";
  if (!found.mac?.equals(mac)) return `is ${found.mac}, not ${mac}`;
  return found.permanent ? undefined : "can expire";
}

/** The alias of the pod's link by which the node reaches an address now, if it is one. */
export function podAt(
  route: Connection,
  address: IpAddress,
): string | undefined {
  try {
    const [found] = route.request(getRoute(address));
    if (found?.index === undefined) return undefined;
    const alias = findLink(route, found.index)?.alias;
    return alias?.startsWith("podnet:") ? alias : undefined;
  } catch (error) {
    if (error instanceof NetlinkError) return undefined; // no route
    throw error;
  }
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

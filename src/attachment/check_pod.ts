/**
 * How the pod's end of its link differs from what it should be.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { dumpAddresses } from "../rtnetlink/address.ts";
import { LOOPBACK_INDEX } from "../rtnetlink/link.ts";
import {
  endDifferences,
  neighbourProblem,
  type WantedEnd,
  type WiringDifference,
} from "./difference.ts";
import { findLink } from "./questions.ts";
import type { ClaimedAddress } from "./address_claims.ts";
import {
  missingPodRoutes,
  releasePodRules,
  routedRoutes,
} from "./pod_routes.ts";
import { HOST_MAC, type PodLink } from "./pod_link.ts";
import { finishLink, reattachPod, switchIpv6On } from "./routed_veth.ts";

/**
 * Compares the pod's side of a link whose host end is there.
 *
 * @param hostRoute of the node
 * @param podRoute of the pod; the mending opens its own
 */
export function podDifferences(
  hostRoute: Connection,
  podRoute: Connection,
  openPod: () => NetworkNamespace,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
): WiringDifference[] {
  const mending = (mend: (route: Connection) => void) => () => {
    using route = routeOf(openPod);
    mend(route);
  };
  const found: WiringDifference[] = [];
  const ends: readonly (readonly [index: number, wanted: WantedEnd])[] = [
    [LOOPBACK_INDEX, { object: "pod's link lo" }],
    [link.podIndex, {
      object: `pod's link ${link.interfaceName}`,
      name: link.interfaceName,
      mtu: link.mtu,
      mac: link.mac,
      isFree: true,
      ...(link.ipv6 ? { addrGenMode: "none" } : {}),
    }],
  ];
  for (const [index, wanted] of ends) {
    const { object } = wanted;
    const end = findLink(podRoute, index);
    if (end === undefined) {
      return [{
        object,
        problem: "was moved to another namespace",
        advice:
          "move it back, or delete it there: repair makes a new one when it is gone",
      }];
    }
    found.push(...endDifferences(end, wanted, (change) => {
      mending((route) => route.execute([change]))();
    }));
  }
  const mend = () => {
    using pod = openPod();
    using route = pod.run(() => Connection.open(NETLINK_ROUTE));
    switchIpv6On(pod, link.interfaceName, claimed);
    if (link.ownTable) releasePodRules(route, link.podIndex);
    reattachPod(route, link, claimed);
    finishLink(hostRoute, route, link, claimed);
  };
  const missing = missingFrom(podRoute, link, claimed);
  return [
    ...found,
    ...missing.map(([object, problem]) => ({
      object,
      problem,
      does: "sets it",
      mend,
    })),
  ];
}

/** Addresses, routes and gateway neighbours that are not as they should be. */
function missingFrom(
  route: Connection,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
): (readonly [object: string, problem: string])[] {
  const { podIndex: index } = link;
  const addresses = route.dump(dumpAddresses({ index }));
  const ofAddresses = claimed.flatMap(({ address, gateway }) => {
    const { prefixLength } = Cidr.host(address);
    const found = addresses.find((a) =>
      a.address.equals(address) && a.prefixLength === prefixLength
    );
    const neighbour = neighbourProblem(route, index, gateway, HOST_MAC);
    return [
      ...found === undefined
        ? [[`pod's address ${address}`, "is missing"]] as const
        : found.permanent
        ? []
        : [[`pod's address ${address}`, "is there for a while only"]] as const,
      ...neighbour === undefined
        ? []
        : [[`pod's neighbour ${gateway}`, neighbour]] as const,
    ];
  });
  return [
    ...ofAddresses,
    ...missingPodRoutes(route, routedRoutes(link, claimed))
      .map((what) => [`pod's ${what}`, "is missing"] as const),
  ];
}

/** A connection that stays in the pod's namespace. */
export function routeOf(openPod: () => NetworkNamespace): Connection {
  using pod = openPod();
  return pod.run(() => Connection.open(NETLINK_ROUTE));
}

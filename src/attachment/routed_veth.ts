/**
 * How a pod is wired: a point-to-point veth pair and host routes, no bridge.
 *
 * Neighbours are permanent on both sides, so no pod can be talked into another MAC and no first packet waits for
 * resolution.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { SandboxError } from "../errors.ts";
import type { IpAddress } from "../net/ip.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { readSysctl, writeSysctl } from "../namespace/sysctl.ts";
import type { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { RTN_LOCAL, RTNLGRP_IPV6_IFADDR } from "../rtnetlink/constants.ts";
import { deleteLink, getLink, setLink } from "../rtnetlink/link.ts";
import { newNeighbour } from "../rtnetlink/neighbour.ts";
import {
  type AddressWish,
  claimAddresses,
  type ClaimedAddress,
  claimsAfter,
  isLocal,
  NO_ROUTE,
} from "./address_claims.ts";
import { shapingRequests } from "./bandwidth.ts";
import type { PodLink } from "./pod_link.ts";
import {
  beforeClaims,
  carrierMessages,
  endRequests,
  hostMessages,
  hostSettings,
  linkMessages,
  newEndMessages,
  routeBatch,
} from "./pod_messages.ts";
import {
  beforeOtherClaims,
  changesTo,
  isAsPrepared,
  without,
} from "./prepared_pod.ts";

/** The kernel takes 0–0.5 ms, and seconds while it destroys thousands of namespaces; more is a broken kernel. */
export const READY_TIMEOUT_MS = 10_000;

/**
 * Makes the veth pair, down. It goes with the pod's namespace, which the caller drops.
 *
 * Nothing else is sent with it: the kernel does not stop at a message that fails, and would do the rest to the link that
 * has the index already.
 *
 * @throws {NetlinkError} EEXIST or EBUSY when there is a link of this name or index
 */
export function makeLink(
  route: Connection,
  pod: NetworkNamespace,
  link: PodLink,
): void {
  route.executeBatch(linkMessages(link, pod.fd));
}

/**
 * Does ahead what does not depend on whose the link will be. Both ends are up then, so that the carrier, which takes the
 * kernel longest, is there when the link is given to a pod; and the pod's end has its routes, and addresses to which nothing
 * leads until they are claimed.
 *
 * @throws {NetlinkError}
 * @throws {SandboxError} `Timeout`
 */
export function prepareLink(
  route: Connection,
  podRoute: Connection,
  link: PodLink,
  addresses: readonly ClaimedAddress[],
): void {
  const { hostIndex: index, mac } = link;
  route.execute([
    hostSettings(link),
    setLink({ index, up: true }),
    ...addresses.map(({ address }) => newNeighbour({ index, address, mac })),
  ]);
  attachPod(podRoute, link, addresses);
  podRoute.execute([getLink({ index: link.podIndex })]);
  finishLink(route, podRoute, link, addresses);
}

/**
 * Configures the node's end of the link, and claims one address for each wish. When it throws, the caller gives back with
 * {@linkcode releaseLink} what was claimed.
 *
 * @param shaperIndex makes a number that no link has
 * @throws {SandboxError} what a wish's `exhausted` makes
 * @throws {NetlinkError}
 */
export function attachHost(
  route: Connection,
  link: PodLink,
  wishes: readonly AddressWish[],
  shaperIndex: () => number,
): ClaimedAddress[] {
  const { bandwidth, prepared } = link;
  return claimAddresses(route, link, wishes, (wanted) => {
    const isUsual = bandwidth === undefined &&
      (prepared === undefined || isAsPrepared(prepared, link, wanted));
    if (isUsual) {
      return {
        before: prepared === undefined ? 2 : 1,
        send: () => route.executeBatch(hostMessages(link, wanted)),
      };
    }
    const shaping = bandwidth === undefined
      ? []
      : shapingRequests(link, shaperIndex());
    const before = prepared === undefined
      ? beforeClaims(link, shaping)
      : [...beforeOtherClaims(prepared, link, wanted), ...shaping];
    return claimsAfter(before, route, link, wanted);
  });
}

/** Deletes the link at once, which takes 31–44 ms: for a pod whose namespace outlives it. A link that is gone is no error. */
export function detachHost(
  route: Connection,
  { hostIndex, hostInterface }: Pick<PodLink, "hostIndex" | "hostInterface">,
): void {
  try {
    const [link] = route.request(getLink({ index: hostIndex }));
    // Indices are random, but a name besides costs nothing.
    if (link?.name !== hostInterface) return;
    route.execute([deleteLink({ index: hostIndex })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.ENODEV)) throw error;
  }
}

/**
 * Lets a link of the pod have IPv6 addresses, if it is to have some: in a namespace of somebody else's, or by somebody inside, IPv6
 * may be switched off.
 *
 * @throws {SandboxError} `NotPermitted`
 */
export function switchIpv6On(
  pod: NetworkNamespace,
  link: string,
  addresses: readonly { readonly address: IpAddress }[],
): void {
  if (addresses.every(({ address }) => address.family === 4)) return;
  const name = `net/ipv6/conf/${link}/disable_ipv6`;
  if (readSysctl(pod, name) !== "0") writeSysctl(pod, name, 0);
}

/**
 * Configures the pod's end and sets it up: lo, addresses, gateway neighbours; of one that was made ahead what differs.
 *
 * With that the link has a carrier, of which the kernel tells the node on another CPU, with the lock that rtnetlink needs, and
 * walks through all IPv6 routes: 0.05 ms, and 0.7 ms with 2000 pods. So whatever needs that lock waits until {@linkcode finishLink},
 * and something else is to be done until then.
 */
export function attachPod(
  podRoute: Connection,
  end: Pick<PodLink, "podIndex" | "ipv6" | "mac" | "prepared">,
  claimed: readonly ClaimedAddress[],
): void {
  if (end.prepared === undefined) {
    podRoute.executeBatch(newEndMessages(end, claimed));
  } else podRoute.execute(changesTo(end.prepared, end, claimed));
}

/** As {@linkcode attachPod}, of a pod that may be running. */
export function reattachPod(
  podRoute: Connection,
  end: Pick<PodLink, "podIndex" | "ipv6">,
  claimed: readonly ClaimedAddress[],
): void {
  podRoute.execute(endRequests(end, claimed));
}

/**
 * Gives the pod its routes, and waits until the first packet would get through: the kernel finishes a link's carrier and an
 * IPv6 address's checks in work items of its own (without this wait 13–22 % of pods lose their first packet).
 *
 * @throws {SandboxError} `Timeout`
 */
export function finishLink(
  route: Connection,
  podRoute: Connection,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
): void {
  const { prepared, hostIndex } = link;
  // One that was made ahead has its carrier, and its routes.
  if (prepared === undefined) {
    route.executeBatch(carrierMessages(hostIndex));
    const types = podRoute.executeBatch(routeBatch(link, claimed), NO_ROUTE);
    if (types.every((one) => one.includes(RTN_LOCAL))) return;
  }
  const changed = without(claimed, prepared?.addresses ?? []);
  awaitAddresses(podRoute, changed.map(({ address }) => address));
}

/**
 * Waits until IPv6 addresses of a link with a carrier can be used.
 *
 * @throws {SandboxError} `Timeout`
 */
export function awaitAddresses(
  route: Connection,
  all: readonly IpAddress[],
): void {
  for (const address of all) {
    if (address.family !== 6) continue;
    // The kernel installs an address's local route last: when it ceases to be tentative, which the group is told of, packets to
    // it are not yet taken. To ask again and again would keep the kernel from its work, mostly on this CPU: up to 7 ms, for
    // one pod in ten (measured: 40 µs a pod on average instead of 160 to 400).
    const isReady = () => isLocal(route, address);
    if (route.waitUntil(isReady, RTNLGRP_IPV6_IFADDR, READY_TIMEOUT_MS)) {
      continue;
    }
    throw new SandboxError("Timeout", {
      operation: "waiting for an IPv6 address",
      timeoutMs: READY_TIMEOUT_MS,
    });
  }
}

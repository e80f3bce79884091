/**
 * How a pod is wired: a point-to-point veth pair and host routes, no bridge.
 *
 * Neighbours are permanent on both sides, so no pod can be talked into another MAC and no first packet waits for
 * resolution.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { writeFile } from "../../ffi/file.ts";
import { poll } from "../../ffi/socket.ts";
import { SandboxError } from "../errors.ts";
import { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Request } from "../netlink/message.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { newAddress } from "../rtnetlink/address.ts";
import type { Ipv4Devconf } from "../rtnetlink/devconf.ts";
import {
  deleteLink,
  getLink,
  type LinkChanges,
  LOOPBACK_INDEX,
  newVeth,
  setLink,
} from "../rtnetlink/link.ts";
import { newNeighbour } from "../rtnetlink/neighbour.ts";
import {
  type AddressWish,
  claimAddresses,
  type ClaimedAddress,
  isLocal,
} from "./address_claims.ts";
import type { Bandwidth } from "../net/bandwidth.ts";
import { shapingRequests } from "./bandwidth.ts";
import {
  podRouteRequests,
  type PodRouting,
  routedRoutes,
} from "./pod_routes.ts";

/** Every host end has this MAC: it is seen by its own pod only, and a constant needs no resolution. */
export const HOST_MAC: MacAddress = MacAddress.parse("ee:ee:ee:ee:ee:ee");

/**
 * net.ipv4.conf of the host end: it routes, and believes neither foreign sources nor redirects. `arpfilter` is the reverse
 * path check of ARP, which a node whose `all.rp_filter` is 2 has no other of: a pod could fill the node's neighbour table.
 */
export const HOST_IPV4 = {
  forwarding: 1,
  rpFilter: 1,
  arpfilter: 1,
  acceptRedirects: 0,
  acceptSourceRoute: 0,
} as const satisfies Ipv4Devconf;

/** net.ipv6.conf of the host end, which exist in /proc only: it believes no router, and without IPv6 addresses has no IPv6. */
export function ipv6Switches(
  hasIpv6: boolean,
): readonly (readonly [name: string, value: string])[] {
  return hasIpv6
    ? [["accept_ra", "0"], ["accept_redirects", "0"]]
    : [["disable_ipv6", "1"]];
}

/** The kernel takes 0–0.5 ms; a second is a broken kernel. */
const READY_TIMEOUT_MS = 1000;

/** What both ends of a pod's link are given. */
export interface PodLink extends PodRouting {
  /** Name of the host end, at most 15 characters. */
  readonly hostInterface: string;
  /** Interface index of the host end. */
  readonly hostIndex: number;
  /** IFLA_IFALIAS of the host end: which sandbox it belongs to. */
  readonly alias: string;
  readonly interfaceName: string;
  readonly mac: MacAddress;
  /** Bytes. */
  readonly mtu: number;
  /** Whether its ends have IPv6: see {@linkcode hasIpv6}. */
  readonly ipv6: boolean;
  /** @default no limits */
  readonly bandwidth?: Bandwidth;
  /**
   * Whether {@linkcode prepareLink} has seen to it.
   * @default false
   */
  readonly isPrepared?: boolean;
}

/** Whether a link has IPv6, on which it is an error to configure it otherwise: the kernel has, and the MTU is enough (RFC 8200, 5). */
export function hasIpv6(kernelHas: boolean, mtu: number): boolean {
  return kernelHas && mtu >= 1280;
}

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
  route.execute([
    newVeth({
      name: link.hostInterface,
      index: link.hostIndex,
      mac: HOST_MAC,
      mtu: link.mtu,
      peer: {
        name: link.interfaceName,
        index: link.podIndex,
        mac: link.mac,
        mtu: link.mtu,
        namespaceFd: pod.fd,
      },
    }),
  ]);
}

/**
 * Does ahead what does not depend on whose the link will be. The node's end stays down: an alias costs more on one that is
 * up, and more with every pod.
 *
 * @throws {NetlinkError}
 */
export function prepareLink(
  route: Connection,
  podRoute: Connection,
  link: PodLink,
): void {
  const { hostIndex, podIndex } = link;
  route.execute([hostSettings(link), setLink({ index: hostIndex, up: true })]);
  podRoute.execute(podSettings(link));
  // The carrier, too: see awaitReady().
  route.execute([getLink({ index: hostIndex })]);
  podRoute.execute([getLink({ index: podIndex })]);
}

/** While the link is down a change of its settings notifies nobody, which costs half at 2000 pods. */
function hostSettings(
  link: PodLink,
  changes: LinkChanges = {},
): Request<unknown, unknown> {
  return setLink({
    index: link.hostIndex,
    ...withoutLinkLocal(link),
    ipv4: HOST_IPV4,
    ...changes,
  });
}

function podSettings(
  link: Pick<PodLink, "podIndex" | "ipv6">,
): Request<unknown, unknown>[] {
  return [
    setLink({ index: LOOPBACK_INDEX, up: true }),
    setLink({ index: link.podIndex, ...withoutLinkLocal(link) }),
    setLink({ index: link.podIndex, up: true }),
  ];
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
  const { hostIndex, alias, isPrepared, bandwidth } = link;
  return claimAddresses(route, link, wishes, [
    // Not at creation: the kernel ignores an alias there (rtnl_create_link).
    isPrepared
      ? setLink({ index: hostIndex, alias })
      : hostSettings(link, { alias }),
    ...bandwidth === undefined ? [] : shapingRequests(link, shaperIndex()),
    ...isPrepared ? [] : [setLink({ index: hostIndex, up: true })],
  ]);
}

/** A link-local address takes the kernel a second to check, and nobody uses it. */
function withoutLinkLocal(
  { ipv6 }: Pick<PodLink, "ipv6">,
): { readonly addrGenMode?: "none" } {
  return ipv6 ? { addrGenMode: "none" } : {};
}

/**
 * The host end believes no router advertisements or redirects (CVE-2020-10749), and that of a pod without an IPv6 address
 * has no IPv6.
 *
 * Call it inside the node's namespace, before the pod's end comes up, since until then nothing can arrive.
 *
 * @throws {SyscallError}
 */
export function guardIpv6(link: string, hasIpv6: boolean): void {
  for (const [name, value] of ipv6Switches(hasIpv6)) {
    try {
      writeFile(`/proc/sys/net/ipv6/conf/${link}/${name}`, value);
    } catch (error) {
      // The kernel has no IPv6, or none on a link with an MTU below 1280.
      if (hasIpv6 || !isSyscallError(error, Errno.ENOENT)) throw error;
    }
  }
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

/** Configures the pod's end: lo, addresses, gateway neighbours, routes. */
export function attachPod(
  podRoute: Connection,
  link: Pick<PodLink, "podIndex" | "ipv6" | "mac" | "isPrepared"> & PodRouting,
  claimed: readonly ClaimedAddress[],
): void {
  const { podIndex, mac, isPrepared } = link;
  podRoute.execute([
    ...isPrepared ? [setLink({ index: podIndex, mac })] : podSettings(link),
    ...claimed.flatMap(({ address, gateway }) => [
      newAddress({
        index: podIndex,
        address,
        prefixLength: Cidr.host(address).prefixLength,
        noDad: true,
      }),
      newNeighbour({ index: podIndex, address: gateway, mac: HOST_MAC }),
    ]),
    ...podRouteRequests(routedRoutes(link, claimed)),
  ]);
}

/**
 * Waits until the first packet would get through: the kernel finishes a link's carrier and an IPv6 address's
 * checks in work items of its own (without this wait 13–22 % of pods lose their first packet).
 *
 * @throws {SandboxError} `Timeout`
 */
export function awaitReady(
  route: Connection,
  podRoute: Connection,
  link: PodLink,
  claimed: readonly ClaimedAddress[],
): void {
  // Asking for a link makes the kernel run its pending carrier work at once (since 6.8). What it says is not read.
  route.execute([getLink({ index: link.hostIndex })]);
  awaitAddresses(podRoute, claimed.map(({ address }) => address));
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
  const addresses = all.filter(({ family }) => family === 6);
  const start = performance.now();
  // The kernel installs an address's local route last: when it ceases to be tentative, packets to it are not yet taken.
  while (!addresses.every((address) => isLocal(route, address))) {
    if (performance.now() - start > READY_TIMEOUT_MS) {
      throw new SandboxError("Timeout", {
        operation: "waiting for an IPv6 address",
        timeoutMs: READY_TIMEOUT_MS,
      });
    }
    // Mostly it is there within half a millisecond, less than the shortest sleep.
    if (performance.now() - start > 2) poll([], 1);
  }
}

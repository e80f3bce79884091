/**
 * How a pod is wired: a point-to-point veth pair and host routes, no bridge.
 *
 * The host route of a pod address is the claim to that address: RTM_NEWROUTE with NLM_F_EXCL fails with EEXIST while
 * any link of the node has it, and it vanishes with its link. Neighbours are permanent on both sides, so no pod can be
 * talked into another MAC and no first packet waits for resolution.
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
import { isNetlinkError, NetlinkError } from "../netlink/netlink_error.ts";
import { newAddress } from "../rtnetlink/address.ts";
import type { Ipv4Devconf } from "../rtnetlink/devconf.ts";
import {
  deleteLink,
  getLink,
  LOOPBACK_INDEX,
  newVeth,
  setLink,
} from "../rtnetlink/link.ts";
import { deleteNeighbour, newNeighbour } from "../rtnetlink/neighbour.ts";
import {
  deleteRoute,
  dumpRoutes,
  getRoute,
  newRoute,
  type Route,
  ROUTE_PROTOCOL,
} from "../rtnetlink/route.ts";

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
export interface PodLink {
  /** Name of the host end, at most 15 characters. */
  readonly hostInterface: string;
  /** Interface index of the host end. */
  readonly hostIndex: number;
  /** IFLA_IFALIAS of the host end: which sandbox it belongs to. */
  readonly alias: string;
  /** Interface index of the pod's end. */
  readonly podIndex: number;
  readonly interfaceName: string;
  readonly mac: MacAddress;
  /** Bytes. */
  readonly mtu: number;
  /** Whether its ends have IPv6: see {@linkcode hasIpv6}. */
  readonly ipv6: boolean;
}

/** Whether a link has IPv6, on which it is an error to configure it otherwise: the kernel has, and the MTU is enough (RFC 8200, 5). */
export function hasIpv6(kernelHas: boolean, mtu: number): boolean {
  return kernelHas && mtu >= 1280;
}

/** How the pod gets its address of one family. */
export interface AddressWish {
  /** The node's own address of the family, which the pod uses as its gateway. */
  readonly gateway: IpAddress;
  /** Tried in order until one is free. */
  readonly candidates: Iterable<IpAddress>;
  /** The error when none was; called with the last candidate. */
  readonly exhausted: (last: IpAddress | undefined) => SandboxError;
}

/** An address with its gateway. */
export interface ClaimedAddress {
  readonly address: IpAddress;
  readonly gateway: IpAddress;
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
 * Configures the node's end of the link, and claims one address for each wish. When it throws, the caller gives back with
 * {@linkcode releaseLink} what was claimed.
 *
 * @throws {SandboxError} what a wish's `exhausted` makes
 * @throws {NetlinkError}
 */
export function attachHost(
  route: Connection,
  link: PodLink,
  wishes: readonly AddressWish[],
): ClaimedAddress[] {
  const tries = wishes.map((wish) => ({
    ...wish,
    candidates: Iterator.from(wish.candidates),
  }));
  // Mostly the first candidates are free: settings and claims are one datagram then.
  const first = tries.flatMap(({ gateway, candidates }) => {
    const { value: address } = candidates.next();
    return address === undefined ? [] : [{ address, gateway }];
  });
  const taken = claim(route, link, first, [
    // While the link is down a change of its settings notifies nobody, which costs half at 2000 pods.
    setLink({
      index: link.hostIndex,
      // Not at creation: the kernel ignores an alias there (rtnl_create_link).
      alias: link.alias,
      ...withoutLinkLocal(link),
      ipv4: HOST_IPV4,
    }),
    setLink({ index: link.hostIndex, up: true }),
  ]);
  return tries.map((wish) => {
    const tried = first.find(({ gateway }) => gateway === wish.gateway);
    return tried === undefined || taken.includes(tried)
      ? claimNext(route, link, wish, tried?.address)
      : tried;
  });
}

/** Claims the next candidate that is free. */
function claimNext(
  route: Connection,
  link: PodLink,
  { gateway, candidates, exhausted }: AddressWish,
  last: IpAddress | undefined,
): ClaimedAddress {
  for (const address of candidates) {
    last = address;
    const wanted = { address, gateway };
    if (claim(route, link, [wanted]).length === 0) return wanted;
  }
  throw exhausted(last);
}

/**
 * Claims addresses, in one datagram with what has to be done before.
 *
 * @returns those that somebody has already
 */
function claim(
  route: Connection,
  link: PodLink,
  wanted: readonly ClaimedAddress[],
  before: readonly Request<unknown, unknown>[] = [],
): ClaimedAddress[] {
  const queries = wanted.map(({ address }) => getRoute(address));
  const taken: ClaimedAddress[] = [];
  let found: Route[][];
  try {
    found = route.execute([
      ...before,
      ...wanted.flatMap(({ address, gateway }) =>
        claimRequests(link, address, gateway)
      ),
    ], queries);
  } catch (error) {
    for (const index of existing(error)) {
      const loser = wanted[(index - before.length) / CLAIM_REQUESTS];
      if (loser === undefined) throw error;
      taken.push(loser);
    }
    found = route.execute([], queries);
  }
  // An address of the node itself has no host route in the main table, yet is as taken as any.
  const local = wanted.filter((_, i) =>
    found[i]?.some(({ type }) => type === "local")
  );
  releaseAddresses(route, link.hostIndex, local.map(({ address }) => address));
  taken.push(...local);
  // The kernel went on to the neighbour.
  route.execute(
    taken.map(({ address }) =>
      deleteNeighbour({ index: link.hostIndex, address })
    ),
  );
  return taken;
}

/** Positions of the messages that failed because what they make is there; one that is nobody's position if others failed. */
function existing(error: unknown): readonly number[] {
  if (!(error instanceof NetlinkError)) return [-1];
  return error.failures.map(({ index, errno }) =>
    errno === Errno.EEXIST ? index : -1
  );
}

/** How many messages {@linkcode claimRequests} makes, the route first. */
const CLAIM_REQUESTS = 2;

/** The host's messages that make an address the pod's. */
export function claimRequests(
  link: Pick<PodLink, "hostIndex" | "mac">,
  address: IpAddress,
  gateway: IpAddress,
): Request<unknown, unknown>[] {
  return [
    newRoute({
      destination: Cidr.host(address),
      index: link.hostIndex,
      source: gateway,
      protocol: ROUTE_PROTOCOL,
      exclusive: true,
    }),
    newNeighbour({ index: link.hostIndex, address, mac: link.mac }),
  ];
}

/** Whether the kernel takes packets to the address for its own. */
function isLocal(route: Connection, address: IpAddress): boolean {
  return route.request(getRoute(address), ...NO_ROUTE)
    .some(({ type }) => type === "local");
}

/** How the kernel says that no route leads to an address: none at all, or one that refuses (fib_props, ip6_null_entry). */
export const NO_ROUTE: readonly number[] = [
  Errno.ENETUNREACH,
  Errno.EHOSTUNREACH,
  Errno.EACCES,
  Errno.EINVAL,
];

/**
 * The addresses that a link claims, by reading the node's routes: for a link whose record does not tell. None when there
 * is no such link, or not yet.
 */
export function addressesOfLink(
  route: Connection,
  hostIndex: number,
): IpAddress[] {
  try {
    return route.dump(
      dumpRoutes({ index: hostIndex, protocol: ROUTE_PROTOCOL }),
    ).flatMap(({ destination }) =>
      destination === "default" ? [] : [destination.network]
    );
  } catch (error) {
    if (isNetlinkError(error, Errno.ENODEV)) return [];
    throw error;
  }
}

/** Gives back all that a link claims; what it is, the kernel knows best when something has failed on the way. */
export function releaseLink(route: Connection, hostIndex: number): void {
  releaseAddresses(route, hostIndex, addressesOfLink(route, hostIndex));
}

/** Gives addresses back. Routes that are gone, or that another link has by now, are left alone. */
export function releaseAddresses(
  route: Connection,
  hostIndex: number,
  addresses: readonly IpAddress[],
): void {
  for (const address of addresses) {
    try {
      route.execute([
        deleteRoute({
          destination: Cidr.host(address),
          index: hostIndex,
          protocol: ROUTE_PROTOCOL,
        }),
      ]);
    } catch (error) {
      if (
        !(error instanceof NetlinkError) ||
        (error.errno !== Errno.ESRCH && error.errno !== Errno.ENODEV)
      ) throw error;
    }
  }
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

/** Configures the pod's end: lo, addresses, gateway neighbours, default routes. */
export function attachPod(
  podRoute: Connection,
  link: Pick<PodLink, "podIndex" | "ipv6">,
  claimed: readonly ClaimedAddress[],
): void {
  const { podIndex } = link;
  podRoute.execute([
    setLink({ index: LOOPBACK_INDEX, up: true }),
    setLink({
      index: podIndex,
      ...withoutLinkLocal(link),
    }),
    setLink({ index: podIndex, up: true }),
    ...claimed.flatMap(({ address, gateway }) => [
      newAddress({
        index: podIndex,
        address,
        prefixLength: Cidr.host(address).prefixLength,
        noDad: true,
      }),
      newNeighbour({ index: podIndex, address: gateway, mac: HOST_MAC }),
      newRoute({
        destination: "default",
        family: address.family,
        index: podIndex,
        gateway,
        onlink: true,
      }),
    ]),
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
  // Asking for a link makes the kernel run its pending carrier work at once (since 6.8).
  route.request(getLink({ index: link.hostIndex }));
  const addresses = claimed.map(({ address }) => address)
    .filter(({ family }) => family === 6);
  const start = performance.now();
  // The kernel installs an address's local route last: when it ceases to be tentative, packets to it are not yet taken.
  while (!addresses.every((address) => isLocal(podRoute, address))) {
    if (performance.now() - start > READY_TIMEOUT_MS) {
      throw new SandboxError("Timeout", {
        operation: "waiting for the pod's IPv6 address",
        timeoutMs: READY_TIMEOUT_MS,
      });
    }
    // Mostly it is there within half a millisecond, less than the shortest sleep.
    if (performance.now() - start > 2) poll([], 1);
  }
}

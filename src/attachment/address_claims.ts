/**
 * Addresses of pods, claimed and given back: the host route is the claim. RTM_NEWROUTE with NLM_F_EXCL fails with EEXIST
 * while any link of the node has it, and it vanishes with its link.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { SandboxError } from "../errors.ts";
import { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Request } from "../netlink/message.ts";
import { isNetlinkError, NetlinkError } from "../netlink/netlink_error.ts";
import { RTN_LOCAL } from "../rtnetlink/constants.ts";
import { deleteNeighbour, newNeighbour } from "../rtnetlink/neighbour.ts";
import {
  deleteRoute,
  dumpRoutes,
  getRouteType,
  newRoute,
  ROUTE_PROTOCOL,
} from "../rtnetlink/route.ts";

/** The link over which an address is claimed. */
export interface ClaimingLink {
  /** Interface index of the host end. */
  readonly hostIndex: number;
  /** Of the pod's end. */
  readonly mac: MacAddress;
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
 * Claims one address for each wish. When it throws, the caller gives back with {@linkcode releaseLink} what was claimed.
 *
 * @param before is done first, in the same datagram: mostly the first candidates are free
 * @throws {SandboxError} what a wish's `exhausted` makes
 * @throws {NetlinkError}
 */
export function claimAddresses(
  route: Connection,
  link: ClaimingLink,
  wishes: readonly AddressWish[],
  before: readonly Request<unknown, unknown>[] = [],
): ClaimedAddress[] {
  const tries = wishes.map((wish) => ({
    ...wish,
    candidates: Iterator.from(wish.candidates),
  }));
  const first = tries.flatMap(({ gateway, candidates }) => {
    const { value: address } = candidates.next();
    return address === undefined ? [] : [{ address, gateway }];
  });
  const taken = claim(route, link, first, before);
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
  link: ClaimingLink,
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
  link: ClaimingLink,
  wanted: readonly ClaimedAddress[],
  before: readonly Request<unknown, unknown>[] = [],
): ClaimedAddress[] {
  const queries = wanted.map(({ address }) => getRouteType(address));
  const taken: ClaimedAddress[] = [];
  let found: number[][];
  try {
    found = route.execute([
      ...before,
      ...wanted.flatMap(({ address, gateway }) =>
        claimRequests(link, address, gateway)
      ),
    ], queries);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    const firstQuery = before.length + wanted.length * CLAIM_REQUESTS;
    for (const { index, errno } of error.failures) {
      // The link has no carrier yet, and the node leaves such routes out (ignore_routes_with_linkdown).
      if (index >= firstQuery && NO_ROUTE.includes(errno)) continue;
      const loser = wanted[(index - before.length) / CLAIM_REQUESTS];
      if (loser === undefined || errno !== Errno.EEXIST) throw error;
      taken.push(loser);
    }
    found = queries.map((query) => route.request(query, ...NO_ROUTE));
  }
  // An address of the node itself has no host route in the main table, yet is as taken as any.
  const local = wanted.filter((_, i) => found[i]?.includes(RTN_LOCAL));
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

/** How many messages {@linkcode claimRequests} makes, the route first. */
const CLAIM_REQUESTS = 2;

/** The host's messages that make an address the pod's. */
export function claimRequests(
  link: ClaimingLink,
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
export function isLocal(route: Connection, address: IpAddress): boolean {
  return route.request(getRouteType(address), ...NO_ROUTE)
    .includes(RTN_LOCAL);
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
  try {
    route.execute(addresses.map((address) =>
      deleteRoute({
        destination: Cidr.host(address),
        index: hostIndex,
        protocol: ROUTE_PROTOCOL,
      })
    ));
  } catch (error) {
    const isGone = error instanceof NetlinkError &&
      error.failures.every(({ errno }) =>
        errno === Errno.ESRCH || errno === Errno.ENODEV
      );
    if (!isGone) throw error;
  }
}

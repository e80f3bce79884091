/**
 * Addresses of pods, claimed and given back: the host route is the claim. RTM_NEWROUTE with NLM_F_EXCL fails with EEXIST
 * while any link of the node has it, and it vanishes with its link.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { SandboxError } from "../errors.ts";
import { Cidr } from "../net/cidr.ts";
import { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import { type EncodedBatch, NO_ANSWER } from "../netlink/batch.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Request } from "../netlink/message.ts";
import {
  isNetlinkError,
  NetlinkError,
  type NetlinkFailure,
} from "../netlink/netlink_error.ts";
import { Template } from "../netlink/template.ts";
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
  /** Tried first; undefined when there is none. */
  readonly first: IpAddress | undefined;
  /** Tried in order until one is free, when somebody has the first one. */
  readonly others: () => Iterable<IpAddress>;
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
 * @param first how the first candidates are claimed, which mostly are free: with what has to be done before
 * @throws {SandboxError} what a wish's `exhausted` makes
 * @throws {NetlinkError}
 */
export function claimAddresses(
  route: Connection,
  link: ClaimingLink,
  wishes: readonly AddressWish[],
  first?: (wanted: readonly ClaimedAddress[]) => Claims,
): ClaimedAddress[] {
  const wanted: ClaimedAddress[] = [];
  for (const { gateway, first: address } of wishes) {
    if (address !== undefined) wanted.push({ address, gateway });
  }
  const taken = claim(route, link, wanted, first?.(wanted));
  if (taken.length === 0 && wanted.length === wishes.length) return wanted;
  return wishes.map((wish) => {
    const one = wanted.find(({ address }) => address === wish.first);
    return one === undefined || taken.includes(one)
      ? claimNext(route, link, wish)
      : one;
  });
}

/** Claims the next candidate that is free. */
function claimNext(
  route: Connection,
  link: ClaimingLink,
  { gateway, first, others, exhausted }: AddressWish,
): ClaimedAddress {
  let last = first;
  for (const address of others()) {
    last = address;
    const wanted = { address, gateway };
    if (claim(route, link, [wanted]).length === 0) return wanted;
  }
  throw exhausted(last);
}

/** How addresses are claimed together. */
export interface Claims {
  /** How many other messages there are before the claims. */
  readonly before: number;
  /** Sends them, and returns the answers of {@linkcode claimQueries}. */
  readonly send: () => number[][];
}

/** The claims after other messages. */
export function claimsAfter(
  before: readonly Request<unknown, unknown>[],
  route: Connection,
  link: ClaimingLink,
  wanted: readonly ClaimedAddress[],
): Claims {
  const requests = [...before, ...claimsOf(link, wanted)];
  const send = () => route.execute(requests, claimQueries(wanted));
  return { before: before.length, send };
}

/** The messages that claim addresses. */
export function claimsOf(
  link: ClaimingLink,
  wanted: readonly ClaimedAddress[],
): Request<unknown, unknown>[] {
  return wanted.flatMap(({ address, gateway }) =>
    claimRequests(link, address, gateway)
  );
}

/** What is asked with the claims: whether an address is the node's own. */
export function claimQueries(
  wanted: readonly ClaimedAddress[],
): Request<unknown, number>[] {
  return wanted.map(({ address }) => getRouteType(address));
}

/**
 * Claims addresses.
 *
 * @returns those that somebody has already
 */
function claim(
  route: Connection,
  link: ClaimingLink,
  wanted: readonly ClaimedAddress[],
  { before, send }: Claims = claimsAfter([], route, link, wanted),
): readonly ClaimedAddress[] {
  const taken: ClaimedAddress[] = [];
  let found: number[][];
  try {
    found = send();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    const firstQuery = before + wanted.length * CLAIM_REQUESTS;
    for (const { index, errno } of error.failures) {
      // The link has no carrier yet, and the node leaves such routes out (ignore_routes_with_linkdown).
      if (index >= firstQuery && NO_ROUTE.includes(errno)) continue;
      const loser = wanted[(index - before) / CLAIM_REQUESTS];
      if (loser === undefined || errno !== Errno.EEXIST) throw error;
      taken.push(loser);
    }
    found = claimQueries(wanted).map((query) =>
      route.request(query, ...NO_ROUTE)
    );
  }
  // An address of the node itself has no host route in the main table, yet is as taken as any.
  const local = wanted.filter((_, i) => found[i]?.includes(RTN_LOCAL));
  if (taken.length + local.length === 0) return NONE;
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

const NONE: readonly ClaimedAddress[] = [];

/** How many messages {@linkcode claimRequests} makes, the route first. */
const CLAIM_REQUESTS = 2;

/** The host's messages that make an address the pod's. */
export function claimRequests(
  link: ClaimingLink,
  address: IpAddress,
  gateway: IpAddress,
): Request<unknown, unknown>[] {
  const { hostIndex: index, mac } = link;
  return [
    newRoute({
      destination: Cidr.host(address),
      index,
      source: gateway,
      protocol: ROUTE_PROTOCOL,
      exclusive: true,
    }),
    newNeighbour({ index, address, mac }),
  ];
}

/** Whether the kernel takes packets to the address for its own. */
export function isLocal(route: Connection, address: IpAddress): boolean {
  const question = routeTypeOf.with([address.bytes]);
  const [types] = route.executeBatch(question, NO_ROUTE);
  return types?.includes(RTN_LOCAL) ?? false;
}

const routeTypeOf = new Template(
  ([bytes]: readonly [bytes: Uint8Array]) => ({
    queries: [getRouteType(IpAddress.fromBytes(bytes))],
  }),
);

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
  if (addresses.length === 0) return;
  try {
    if (addresses.length > USUAL_ADDRESSES) {
      route.execute(releaseRequests(hostIndex, addresses));
    } else {
      route.executeBatch(releaseMessages(hostIndex, addresses));
    }
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    const [first, ...others] = error.failures.filter(isWrong);
    // That one was gone is not what is to be told.
    if (first !== undefined) throw new NetlinkError(first, others);
  }
}

/** Whether nothing else was wrong than that a route, or its link, is gone already. */
export function isGone(error: unknown): boolean {
  return error instanceof NetlinkError && !error.failures.some(isWrong);
}

function isWrong({ errno }: NetlinkFailure): boolean {
  return errno !== Errno.ESRCH && errno !== Errno.ENODEV;
}

/** The messages that give addresses back. */
export function releaseRequests(
  index: number,
  addresses: readonly IpAddress[],
): Request<unknown, unknown>[] {
  return addresses.map((address) =>
    deleteRoute({
      destination: Cidr.host(address),
      index,
      protocol: ROUTE_PROTOCOL,
    })
  );
}

/** Of a pod: one of each IP version. */
const USUAL_ADDRESSES = 2;

/** Encoded; valid until the next ones are asked for. */
function releaseMessages(
  index: number,
  addresses: readonly IpAddress[],
): EncodedBatch<unknown> {
  return RELEASE.with([index, ...addresses.map(({ bytes }) => bytes)]);
}

type ReleaseFields = readonly [
  index: number,
  ...addresses: readonly Uint8Array[],
];

/** Without an acknowledgement: what fails is answered all the same. */
const RELEASE = new Template(([index, ...addresses]: ReleaseFields) => ({
  requests: releaseRequests(
    index,
    addresses.map((bytes) => IpAddress.fromBytes(bytes)),
  ),
}), NO_ANSWER);

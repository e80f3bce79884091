/**
 * What is sent for a pod. Its names, numbers and addresses are put into messages that were encoded for an earlier one.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import { IpAddress } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import {
  type Batch,
  encodeBatch,
  type EncodedBatch,
  NO_ANSWER,
} from "../netlink/batch.ts";
import { ByteWriter } from "../netlink/bytes.ts";
import type { Request } from "../netlink/message.ts";
import { Template } from "../netlink/template.ts";
import { newAddress } from "../rtnetlink/address.ts";
import {
  getLink,
  type LinkChanges,
  LOOPBACK_INDEX,
  newVeth,
  setLink,
} from "../rtnetlink/link.ts";
import { newNeighbour } from "../rtnetlink/neighbour.ts";
import { getRouteType } from "../rtnetlink/route.ts";
import {
  type ClaimedAddress,
  claimQueries,
  claimsOf,
} from "./address_claims.ts";
import { HOST_IPV4, HOST_MAC, type PodLink } from "./pod_link.ts";
import {
  podRouteRequests,
  type PodRouting,
  routedRoutes,
} from "./pod_routes.ts";

/** The pair, down. */
export function linkMessages(
  link: PodLink,
  namespaceFd: number,
): EncodedBatch<unknown> {
  const { hostInterface: name, hostIndex: index, podIndex, mac } = link;
  return LINK.with(
    [name, index, podIndex, mac.bytes, namespaceFd],
    link.interfaceName,
    link.mtu,
  );
}

type LinkFields = readonly [
  name: string,
  index: number,
  podIndex: number,
  mac: Uint8Array,
  namespaceFd: number,
];

/** Without an acknowledgement, here and for the pod's end: what fails is answered all the same, and two answers cost 3 µs. */
const LINK = new Template(
  (
    [name, index, podIndex, mac, namespaceFd]: LinkFields,
    interfaceName: string,
    mtu: number,
  ) => ({
    requests: [
      newVeth({
        name,
        index,
        mac: HOST_MAC,
        mtu,
        peer: {
          name: interfaceName,
          index: podIndex,
          mac: MacAddress.fromBytes(mac),
          mtu,
          namespaceFd,
        },
      }),
    ],
  }),
  NO_ANSWER,
);

/** While the link is down a change of its settings notifies nobody, which costs half at 2000 pods. */
export function hostSettings(
  { hostIndex, ipv6 }: Pick<PodLink, "hostIndex" | "ipv6">,
  changes: LinkChanges = {},
): Request<unknown, unknown> {
  return setLink({
    index: hostIndex,
    ...withoutLinkLocal(ipv6),
    ipv4: HOST_IPV4,
    ...changes,
  });
}

/** What comes before the claims at the node's end. */
export function beforeClaims(
  link: Pick<PodLink, "hostIndex" | "ipv6" | "alias">,
  more: readonly Request<unknown, unknown>[] = [],
): Request<unknown, unknown>[] {
  const { hostIndex, alias } = link;
  return [
    // Not at creation: the kernel ignores an alias there (rtnl_create_link).
    hostSettings(link, { alias }),
    ...more,
    setLink({ index: hostIndex, up: true }),
  ];
}

/**
 * Those, the claims, and the questions that go with these. A link that was made ahead mostly has the neighbours: whoever has set
 * it down took them away, and to set one that is there takes 0.6 µs.
 */
export function hostMessages(
  { hostIndex, alias, mac, ipv6, prepared }: PodLink,
  wanted: readonly ClaimedAddress[],
): EncodedBatch<number> {
  return HOST.with(
    [hostIndex, alias, mac.bytes, ...addressFields(wanted)],
    ipv6,
    prepared !== undefined,
  );
}

type HostFields = readonly [
  index: number,
  alias: string,
  mac: Uint8Array,
  ...addresses: readonly Uint8Array[],
];

const HOST = new Template(
  (
    [hostIndex, alias, macBytes, ...addresses]: HostFields,
    ipv6: boolean,
    isPrepared: boolean,
  ) => {
    const mac = MacAddress.fromBytes(macBytes);
    const wanted = addressesOf(addresses);
    return {
      requests: [
        ...isPrepared
          ? [setLink({ index: hostIndex, alias })]
          : beforeClaims({ hostIndex, alias, ipv6 }),
        ...claimsOf({ hostIndex, mac }, wanted),
      ],
      queries: claimQueries(wanted),
    };
  },
);

/** A pod's end as far as it is told of. */
type PodEnd = Pick<PodLink, "podIndex" | "ipv6">;

/** What an end gets before it is set up. */
function endSettings(
  { podIndex: index, ipv6 }: PodEnd,
): Request<unknown, unknown>[] {
  return [
    setLink({ index: LOOPBACK_INDEX, up: true }),
    setLink({ index, ...withoutLinkLocal(ipv6) }),
  ];
}

/** How long an IPv6 address is the pod's; for good unless it is said. */
interface Lifetime {
  readonly validSeconds?: number;
}

/** An address of the pod's. It has no network, and needs no route to it. */
function podAddress(
  index: number,
  address: IpAddress,
  lifetime: Lifetime = {},
): Request<unknown, unknown> {
  return newAddress({
    index,
    address,
    prefixLength: Cidr.host(address).prefixLength,
    ...address.family === 6
      ? { noDad: true, noPrefixRoute: true, ...lifetime }
      : {},
  });
}

/** Its addresses, each with its gateway as a neighbour. */
export function addressRequests(
  index: number,
  claimed: readonly ClaimedAddress[],
  lifetime?: Lifetime,
): Request<unknown, unknown>[] {
  return claimed.flatMap(({ address, gateway }) => [
    podAddress(index, address, lifetime),
    newNeighbour({ index, address: gateway, mac: HOST_MAC }),
  ]);
}

/**
 * What a new end gets while it is down, and that it is set up; see {@linkcode routing}.
 *
 * Its IPv6 address is for a while only: to one that is there for good when a link is set up the kernel gives a route then, and
 * in a row of pods it may have no memory for that at hand, and drop the address (fixup_permanent_addr, seen once in 20,000).
 */
function newEndRequests(
  end: PodEnd,
  claimed: readonly ClaimedAddress[],
): Request<unknown, unknown>[] {
  const { podIndex: index } = end;
  return [
    ...endSettings(end),
    ...addressRequests(index, claimed, { validSeconds: A_WHILE_SECONDS }),
    setLink({ index, up: true }),
  ];
}

/** The same for an end that a running pod may have: its addresses are there for good all the time. */
export function endRequests(
  end: PodEnd,
  claimed: readonly ClaimedAddress[],
): Request<unknown, unknown>[] {
  const { podIndex: index } = end;
  return [
    ...endSettings(end),
    setLink({ index, up: true }),
    ...addressRequests(index, claimed),
  ];
}

/** Longer than a sandbox takes to be made; if it does not come to an end, it is removed. */
const A_WHILE_SECONDS = 3600;

/** {@linkcode newEndRequests}, encoded. */
export function newEndMessages(
  { podIndex, ipv6 }: PodEnd,
  claimed: readonly ClaimedAddress[],
): EncodedBatch<unknown> {
  return NEW_END.with([podIndex, ...addressFields(claimed)], ipv6);
}

type PodFields = readonly [
  index: number,
  ...addresses: readonly Uint8Array[],
];

const NEW_END = new Template(
  ([podIndex, ...addresses]: PodFields, ipv6: boolean) => ({
    requests: newEndRequests({ podIndex, ipv6 }, addressesOf(addresses)),
  }),
  NO_ANSWER,
);

/**
 * What needs an end that is up: that its IPv6 addresses are there for good, and its routes. It is asked whether the kernel takes
 * packets to these addresses already.
 */
function routing(
  end: PodRouting,
  claimed: readonly ClaimedAddress[],
): Batch<unknown, number> {
  const ipv6 = claimed.map(({ address }) => address)
    .filter(({ family }) => family === 6);
  return {
    requests: [
      ...ipv6.map((address) => podAddress(end.podIndex, address)),
      ...podRouteRequests(routedRoutes(end, claimed)),
    ],
    queries: ipv6.map(getRouteType),
  };
}

/** {@linkcode routing}, encoded. */
export function routeBatch(
  end: PodRouting,
  claimed: readonly ClaimedAddress[],
): EncodedBatch<number> {
  const { podIndex, defaultRoute, ownTable, routes } = end;
  return defaultRoute && !ownTable && routes.length === 0
    ? ROUTES.with([podIndex, ...addressFields(claimed)])
    : encodeBatch(new ByteWriter(), routing(end, claimed));
}

const ROUTES = new Template(([podIndex, ...addresses]: PodFields) =>
  routing(
    { podIndex, defaultRoute: true, ownTable: false, routes: [] },
    addressesOf(addresses),
  )
);

/** Asking for a link makes the kernel run its pending carrier work at once (since 6.8). What it says is not read. */
export function carrierMessages(index: number): EncodedBatch<unknown> {
  return CARRIER.with([index]);
}

const CARRIER = new Template(([index]: readonly [index: number]) => ({
  requests: [getLink({ index })],
}));

/** A link-local address takes the kernel a second to check, and nobody uses it. */
function withoutLinkLocal(ipv6: boolean): { readonly addrGenMode?: "none" } {
  return ipv6 ? { addrGenMode: "none" } : {};
}

/** Each address, and after it its gateway: how long they are tells of which IP version. */
function addressFields(all: readonly ClaimedAddress[]): Uint8Array[] {
  const fields: Uint8Array[] = [];
  for (const { address, gateway } of all) {
    fields.push(address.bytes, gateway.bytes);
  }
  return fields;
}

function addressesOf(fields: readonly Uint8Array[]): ClaimedAddress[] {
  const all: ClaimedAddress[] = [];
  let address: IpAddress | undefined;
  for (const bytes of fields) {
    const one = IpAddress.fromBytes(bytes);
    if (address === undefined) address = one;
    else {
      all.push({ address, gateway: one });
      address = undefined;
    }
  }
  return all;
}

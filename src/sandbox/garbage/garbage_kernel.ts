/**
 * Parts in the kernel that bear the node's marks and that no record tells of.
 *
 * Ours is what leads to a sandbox of this node: a link by its alias, a route of podnet's protocol and a permanent
 * neighbour by that link, an element by its comment. All else is somebody else's, whatever it looks like.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { shaperOf } from "../../attachment/bandwidth.ts";
import { releaseAddresses } from "../../attachment/address_claims.ts";
import { elementsOf, hairpinOf, type Placed } from "../../hostport/elements.ts";
import {
  deleteElements,
  findElementsOf,
  isAsPlaced,
} from "../../hostport/host_ports.ts";
import { TABLE } from "../../hostport/sets.ts";
import { addressBits, type IpAddress } from "../../net/ip.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { formatKey } from "../../nftables/datatype.ts";
import { RT_TABLE_MAIN } from "../../rtnetlink/constants.ts";
import { deleteNeighbour, dumpNeighbours } from "../../rtnetlink/neighbour.ts";
import { dumpRoutes, ROUTE_PROTOCOL } from "../../rtnetlink/route.ts";
import {
  type BaselineObject,
  ownGateways,
  ownUnreachableRoutes,
} from "../node/baseline.ts";
import type { NodeContext } from "../node/context.ts";
import { isId } from "../records/identity.ts";
import { nameOf } from "../node/make_table.ts";
import { Pacer } from "../node/pacer.ts";
import {
  furtherLinks,
  isPodLink,
  type PodLinkInfo,
  podLinks,
} from "../node/pod_links.ts";
import { addressesOf, hostPortsOf, portOwner } from "../records/records.ts";

/** A part without an owner. */
export interface Stray {
  readonly kind: "link" | "route" | "neighbour" | "element";
  /** Id of the sandbox that it belonged to. */
  readonly id: string;
  /** In plain words; no two parts have the same. */
  readonly object: string;
  /** Addresses that it led to. */
  readonly addresses: readonly IpAddress[];
  /** Whether the sandbox should have it, by what its record says. */
  readonly isDue: (due: Due) => boolean;
  /** Whether the kernel still has it. */
  readonly isThere: () => boolean;
  /** Of a link there is `link` instead: many are deleted together. */
  readonly remove?: () => void;
  readonly link?: Pick<PodLinkInfo, "index" | "name">;
}

/** What a sandbox should have. */
interface Due {
  /** Of its link, if it has one. */
  readonly index?: number;
  /** Names of its shaper and ports. */
  readonly further: ReadonlySet<string>;
  readonly addresses: readonly IpAddress[];
  /** Names of its elements. */
  readonly elements: ReadonlySet<string>;
}

/** Of a sandbox without a record, and of one that is not. */
const NOTHING: Due = {
  addresses: [],
  further: new Set(),
  elements: new Set(),
};

/** The kernel takes 30 ms to destroy the links of one namespace and 300 ms for a thousand. */
const SETTLE_MS = 2000;
const SETTLE_STEP_MS = 10;

/**
 * What is without an owner, and stays so: a sandbox may be made or removed between one question and the next, and the
 * kernel destroys the link of a removed sandbox on its own time.
 *
 * @param leftAlone ids that are not looked at
 */
export async function settledStrays(
  context: NodeContext,
  leftAlone: ReadonlySet<string>,
): Promise<Stray[]> {
  const deadline = performance.now() + SETTLE_MS;
  let left = await strays(context, leftAlone);
  while (left.length > 0) {
    const mayGo = left.some(({ kind }) => kind === "link");
    if (mayGo) await new Promise((wake) => setTimeout(wake, SETTLE_STEP_MS));
    const before = new Set(left.map(({ object }) => object));
    const now = await strays(context, leftAlone);
    left = now.filter(({ object }) => before.has(object));
    if (!mayGo || performance.now() > deadline) break;
  }
  return left;
}

/** Whether a part is still there, and without an owner; the caller holds the lock of its sandbox, if there is one. */
export function isStray(context: NodeContext, stray: Stray): boolean {
  return !stray.isDue(dueOf(context, stray.id)) && stray.isThere();
}

async function strays(
  context: NodeContext,
  leftAlone: ReadonlySet<string>,
): Promise<Stray[]> {
  const pacer = new Pacer();
  const parts = partsOf(context);
  // Afterwards, so that what was made before is known.
  const due = new Map<string, Due>();
  for (const id of context.state.sandboxIds()) {
    await pacer.pause();
    due.set(id, dueOf(context, id));
  }
  // What is on one of these links goes with it.
  const going = new Set(context.state.removed.names());
  return parts.filter(({ id, link, isDue }) =>
    !leftAlone.has(id) && !isDue(due.get(id) ?? NOTHING) &&
    !(link !== undefined && going.has(link.name))
  );
}

function dueOf({ state }: NodeContext, id: string): Due {
  const record = isId(id) ? state.readableSandbox(id) : undefined;
  if (record === undefined) return NOTHING;
  const elements = elementsOf(hostPortsOf(record), portOwner(record));
  return {
    ...record.link === undefined ? {} : { index: record.link.hostIndex },
    further: new Set([
      ...record.link === undefined || record.bandwidth?.egress === undefined
        ? []
        : [shaperOf({ ...record.link, alias: "" }).name],
      ...record.interfaces.flatMap(({ port }) => port?.name ?? []),
    ]),
    addresses: record.link === undefined ? [] : addressesOf(record),
    elements: new Set(elements.map(nameOf)),
  };
}

/** All parts of sandboxes, by reading whole tables. */
function partsOf(context: NodeContext): Stray[] {
  const links = podLinks(context);
  const byIndex = new Map(links.map((link) => [link.index, link]));
  return [
    ...links.map((link) => linkPart(context, link)),
    ...furtherLinks(context).map((link) => ({
      ...linkPart(context, link),
      isDue: (due: Due) => due.further.has(link.name),
    })),
    ...routeParts(context, byIndex),
    ...neighbourParts(context, byIndex),
    ...findElementsOf(context.sockets.nft, () => true)
      .map((placed) => elementPart(context, placed)),
  ];
}

function linkPart(
  context: NodeContext,
  link: Omit<PodLinkInfo, "retired">,
): Stray {
  const { index, name, id } = link;
  return {
    kind: "link",
    id,
    object: `link ${name}`,
    addresses: [],
    isDue: (due) => due.index === index,
    isThere: () => isPodLink(context, link),
    link,
  };
}

type Links = ReadonlyMap<number, PodLinkInfo>;

/** Claims: host routes to addresses of pods. What else somebody may route to a pod by our protocol is theirs. */
function routeParts(context: NodeContext, links: Links): Stray[] {
  const { pools, sockets: { route } } = context;
  const request = dumpRoutes({
    protocol: ROUTE_PROTOCOL,
    table: RT_TABLE_MAIN,
  });
  return route.dump(request).flatMap(({ destination, index = 0 }): Stray[] => {
    const link = links.get(index);
    if (link === undefined || destination === "default") return [];
    const { network: address, prefixLength, family } = destination;
    if (
      prefixLength !== addressBits(family) ||
      !pools.some(({ cidr }) => cidr.contains(address))
    ) return [];
    return [{
      kind: "route",
      id: link.id,
      object: `route to ${destination} over ${link.name}`,
      addresses: [address],
      isDue: (due) => isDueOn(due, link, address),
      isThere: () =>
        route.dump(dumpRoutes({ index, protocol: ROUTE_PROTOCOL }))
          .some((other) => String(other.destination) === String(destination)),
      remove: () => releaseAddresses(route, index, [address]),
    }];
  });
}

function neighbourParts(context: NodeContext, links: Links): Stray[] {
  const { pools, sockets: { route } } = context;
  return route.dump(dumpNeighbours({})).flatMap(
    ({ index, address, permanent }): Stray[] => {
      const link = links.get(index);
      if (
        link === undefined || !permanent ||
        !pools.some(({ cidr }) => cidr.contains(address))
      ) return [];
      return [{
        kind: "neighbour",
        id: link.id,
        object: `neighbour ${address} on ${link.name}`,
        addresses: [],
        isDue: (due) => isDueOn(due, link, address),
        isThere: () =>
          route.dump(dumpNeighbours({ index }))
            .some((other) => other.address.equals(address)),
        remove: () => {
          try {
            route.execute([deleteNeighbour({ index, address })]);
          } catch (error) {
            if (!isNetlinkError(error, Errno.ENOENT, Errno.ENODEV)) throw error;
          }
        },
      }];
    },
  );
}

/** What is on a link that is without an owner itself goes with it. So does what is on the link of one that is being made. */
function isDueOn(due: Due, link: PodLinkInfo, address: IpAddress): boolean {
  return due.index !== link.index ||
    due.addresses.length === 0 ||
    due.addresses.some((other) => other.equals(address));
}

function elementPart({ sockets: { nft } }: NodeContext, placed: Placed): Stray {
  const { set, element } = placed;
  const address = hairpinOf(placed);
  return {
    kind: "element",
    id: element.comment ?? "",
    object: `element ${formatKey(set.key, element.key)} of set ${set.name}`,
    addresses: address === undefined ? [] : [address],
    isDue: (due) => due.elements.has(nameOf(placed)),
    isThere: () => isAsPlaced(nft.getElement(TABLE, set, element.key), placed),
    remove: () => deleteElements(nft, [placed]),
  };
}

/** What the node had on lo, or for a whole pod CIDR, when it had other pod CIDRs. */
export function foreignBaseline(
  { sockets: { route }, pools }: NodeContext,
): (BaselineObject & { readonly kind: "address" | "route" })[] {
  const due = new Set(
    pools.flatMap(({ gateway, cidr }) => [String(gateway), String(cidr)]),
  );
  return [
    ...ownGateways(route).map((found) => ({
      ...found,
      kind: "address" as const,
    })),
    ...ownUnreachableRoutes(route)
      .map((found) => ({ ...found, kind: "route" as const })),
  ].filter(({ of }) => !due.has(String(of)));
}

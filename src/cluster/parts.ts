/**
 * The single things in the kernel that paths are made of, planned and found ones in the same form, and how they differ.
 *
 * @module
 */
import { TUNNELLED_MARK } from "../hostport/peers.ts";
import type { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import {
  rememberedAddress,
  rememberedCidr,
  rememberedMac,
} from "../net/remembered.ts";
import type { Request } from "../netlink/message.ts";
import {
  deleteForwardingEntry,
  type ForwardingEntry,
  newForwardingEntry,
} from "../rtnetlink/forwarding.ts";
import {
  type AddressReference,
  deleteAddress,
  newAddress,
} from "../rtnetlink/address.ts";
import { RT_SCOPE_LINK, RT_TABLE_MAIN } from "../rtnetlink/constants.ts";
import {
  deleteNeighbour,
  type NeighbourReference,
  newNeighbour,
} from "../rtnetlink/neighbour.ts";
import {
  deletePolicyRule,
  newPolicyRule,
  type PolicyRule,
} from "../rtnetlink/policy_rule.ts";
import { deleteRoute, newRoute } from "../rtnetlink/route.ts";
import {
  PATH_PROTOCOL,
  PATH_RULE_PRIORITY,
  PATH_TABLE,
  pathMetric,
} from "../sandbox/node/path_parts.ts";
import type { PathRoute, PathShare } from "./path_plan.ts";
import { renderRoute } from "./path_text.ts";
import type { Steps } from "../steps.ts";

/** Kinds of parts, in the order in which they are made; they go in the opposite one. */
const KINDS: readonly PartKind[] = [
  "address",
  "forwarding",
  "neighbour",
  "route",
  "rule",
];

type PartKind = "address" | "forwarding" | "neighbour" | "route" | "rule";

/** One thing in the kernel. */
export interface Part {
  readonly kind: PartKind;
  /** What the kernel has one of. */
  readonly key: string;
  /** All else. */
  readonly value: string;
  /** For people. */
  readonly text: string;
  /** Name of the member that a route leads to. */
  readonly member?: string;
  /** @param isNew whether it must not be there: what is there is somebody else's then */
  readonly put: (isNew: boolean) => Request<unknown>;
  readonly remove: () => Request<unknown>;
}

/** Parts by what the kernel has one of. */
export type Parts = ReadonlyMap<string, Part>;

/** Numbers of links by their names. */
export type LinkNumbers = ReadonlyMap<string, number>;

/** An IPv4 address of a tunnel. */
export function addressPart(
  { index, address }: Pick<AddressReference, "index" | "address">,
  link: string,
): Part {
  const reference = { index, address, prefixLength: 32 };
  return {
    kind: "address",
    key: `address ${index} ${address}`,
    value: "",
    text: `address ${address} of ${link}`,
    // The kernel is not to choose it for anything else.
    put: () =>
      newAddress({
        ...reference,
        scope: RT_SCOPE_LINK,
        protocol: PATH_PROTOCOL,
      }),
    remove: () => deleteAddress(reference),
  };
}

/** A forwarding entry. */
export function forwardingPart(entry: ForwardingEntry, link: string): Part {
  const { index, mac, remote } = entry;
  return {
    kind: "forwarding",
    key: `forwarding ${index} ${mac}`,
    value: String(remote),
    get text() {
      return `forwarding entry of ${mac} to ${remote} on ${link}`;
    },
    put: () => newForwardingEntry(entry),
    remove: () => deleteForwardingEntry(entry),
  };
}

/** A permanent neighbour. */
export function neighbourPart(
  neighbour: NeighbourReference & { readonly mac: MacAddress },
  link: string,
): Part {
  const { index, address, mac } = neighbour;
  return {
    kind: "neighbour",
    key: `neighbour ${index} ${address}`,
    value: String(mac),
    get text() {
      return `neighbour ${address} with ${mac} on ${link}`;
    },
    put: () => newNeighbour(neighbour),
    remove: () => deleteNeighbour({ index, address }),
  };
}

/** Of routes that answer for the whole cluster: nearly the highest, so that any other route comes first. */
const LAST_RESORT_METRIC = 4_278_198_273;

/** A route as the plan has it; `index` is the number of its link. */
export function routePart(route: PathRoute, index: number): Part {
  const destination = rememberedCidr(route.destination).value;
  const { hop, ofPods = false } = route;
  const reference = {
    destination,
    table: ofPods ? PATH_TABLE : RT_TABLE_MAIN,
    priority: hop === undefined ? LAST_RESORT_METRIC : pathMetric(destination),
    protocol: PATH_PROTOCOL,
  };
  const options = {
    ...reference,
    ...hop === undefined ? { type: "unreachable" as const } : {
      index,
      onlink: hop.onlink,
      ...hop.gateway === undefined
        ? {}
        : { gateway: rememberedAddress(hop.gateway).value },
      ...hop.source === undefined
        ? {}
        : { source: rememberedAddress(hop.source).value },
    },
  };
  return {
    kind: "route",
    key: routeKey({ ...reference, destination: route.destination }),
    value: hop === undefined
      ? "unreachable"
      : `${index} ${hop.gateway ?? "-"} ${hop.source ?? "-"}`,
    ...route.member !== undefined && { member: route.member },
    get text() {
      return renderRoute(route);
    },
    put: (isNew) => newRoute({ ...options, exclusive: isNew }),
    remove: () => deleteRoute(reference),
  };
}

/** What the kernel has one route of. */
export function routeKey(
  { destination, table, priority }: {
    readonly destination: unknown;
    readonly table: number;
    readonly priority?: number;
  },
): string {
  return `route ${table} ${destination} ${priority ?? 0}`;
}

/** Where a route leads. */
export function routeValue(
  { type = "unicast", index, gateway, source }: {
    readonly type?: unknown;
    readonly index?: number;
    readonly gateway?: IpAddress;
    readonly source?: IpAddress;
  },
): string {
  return type === "unicast"
    ? `${index} ${gateway ?? "-"} ${source ?? "-"}`
    : String(type);
}

/** A rule by which packets of the node's pods find the table of their own. */
export function rulePart(source: Cidr): Part {
  const rule = {
    source,
    table: PATH_TABLE,
    priority: PATH_RULE_PRIORITY,
    protocol: PATH_PROTOCOL,
    mark: { value: TUNNELLED_MARK, mask: TUNNELLED_MARK },
  };
  return {
    kind: "rule",
    key: `rule ${source} ${ruleKey(rule)}`,
    value: "",
    text: `rule from ${source}`,
    put: () => newPolicyRule(rule),
    remove: () => deletePolicyRule(rule),
  };
}

/** What tells two rules of one source apart. */
export function ruleKey(
  { table, priority, mark }: Pick<PolicyRule, "table" | "priority" | "mark">,
): string {
  return `${table} ${priority} ${mark?.value}/${mark?.mask}`;
}

/** What of shares hangs on links and tables; parts of links that are not there are left out. */
export function* partsOf(
  shares: Iterable<PathShare>,
  numbers: LinkNumbers,
): Steps<Map<string, Part>> {
  const parts = new Map<string, Part>();
  for (const share of shares) {
    yield;
    for (const part of partsOfOne(share, numbers)) parts.set(part.key, part);
  }
  return parts;
}

function partsOfOne(share: PathShare, numbers: LinkNumbers): Part[] {
  const numberOf = (link: string) => numbers.get(link);
  const parts: Part[] = [];
  for (const { link, address } of share.addresses) {
    const index = numberOf(link);
    if (index === undefined) continue;
    parts.push(
      addressPart({ index, address: rememberedAddress(address).value }, link),
    );
  }
  for (const { link, mac, remote } of share.forwarding) {
    const index = numberOf(link);
    if (index === undefined) continue;
    const entry = {
      index,
      mac: rememberedMac(mac).value,
      remote: rememberedAddress(remote).value,
    };
    parts.push(forwardingPart(entry, link));
  }
  for (const { link, address, mac } of share.neighbours) {
    const index = numberOf(link);
    if (index === undefined) continue;
    const neighbour = {
      index,
      address: rememberedAddress(address).value,
      mac: rememberedMac(mac).value,
    };
    parts.push(neighbourPart(neighbour, link));
  }
  for (const route of share.routes) {
    const index = route.hop === undefined ? 0 : numberOf(route.hop.link);
    if (index !== undefined) parts.push(routePart(route, index));
  }
  for (const source of share.rules) {
    parts.push(rulePart(rememberedCidr(source).value));
  }
  return parts;
}

/** One thing that must be done. */
export interface Change {
  readonly part: Part;
  readonly does: "add" | "change" | "remove";
  readonly request: () => Request<unknown>;
}

/**
 * What turns some parts into others, in this order: next hops are known before a route leads to them, and forgotten after.
 */
export function* changesBetween(found: Parts, wanted: Parts): Steps<Change[]> {
  const puts = inLists();
  for (const part of wanted.values()) {
    yield;
    const there = found.get(part.key);
    if (there?.value === part.value) continue;
    const isNew = there === undefined;
    puts[part.kind].push({
      part,
      does: isNew ? "add" : "change",
      request: () => part.put(isNew),
    });
  }
  const removals = inLists();
  for (const part of found.values()) {
    yield;
    if (wanted.has(part.key)) continue;
    removals[part.kind].push({ part, does: "remove", request: part.remove });
  }
  return [
    ...KINDS.map((kind) => puts[kind]),
    ...KINDS.toReversed().map((kind) => removals[kind]),
  ].flat();
}

function inLists(): Record<PartKind, Change[]> {
  return { address: [], forwarding: [], neighbour: [], route: [], rule: [] };
}

/**
 * Addresses, routes and policy rules that lead packets of pods astray.
 *
 * @module
 */
import { Cidr } from "../../net/cidr.ts";
import type { IpFamily } from "../../net/ip.ts";
import {
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTPROT_KERNEL,
} from "../../rtnetlink/constants.ts";
import type { PolicyRule } from "../../rtnetlink/policy_rule.ts";
import { ROUTE_PROTOCOL } from "../../rtnetlink/route.ts";
import type { Facts } from "../facts/facts.ts";
import type { RouteFacts } from "../facts/network.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";
import { defaultLinks, uplinks } from "./uplinks.ts";

type Given = Pick<Facts, "network" | "podCidrs" | "node">;

/** Judges addresses, routes and policy rules. */
export function addressingFindings(given: Given): DiagnosisFinding[] {
  return [
    ...overlappingAddresses(given),
    ...foreignRoutes(given),
    ...policyRules(given),
    ...mtu(given),
    ...defaultRoutes(given),
    ...leases(given),
    ...managedPodLinks(given),
  ];
}

const OTHER_CIDR =
  "take the node down and set it up with another: podnet node up --pod-cidr CIDR";

function overlappingAddresses(
  { network, podCidrs }: Given,
): DiagnosisFinding[] {
  const ofPods = new Set(
    network.links.filter(({ ofPod }) => ofPod).map(({ name }) => name),
  );
  return network.addresses.flatMap((address) => {
    const { network: neighbours, link } = address;
    const isAlone = Cidr.host(address.address).equals(neighbours);
    if (ofPods.has(link) || isAlone) return [];
    return podCidrs.filter((cidr) => cidr.overlaps(neighbours)).map((cidr) =>
      finding(
        "error",
        "pod-cidr-overlap",
        `pod CIDR ${cidr}`,
        `overlaps ${neighbours}, the network that ${link} is on: the node takes machines there for pods, or pods for machines there`,
        OTHER_CIDR,
      )
    );
  });
}

/** Routes of others to a part of a pod CIDR: longer prefixes win. */
function foreignRoutes({ network, podCidrs }: Given): DiagnosisFinding[] {
  const ofPods = new Set(
    network.links.filter(({ ofPod }) => ofPod).map(({ name }) => name),
  );
  // What the kernel adds for an address is told of with the address.
  const foreign = network.routes.filter((route) =>
    route.table !== RT_TABLE_LOCAL && route.protocol !== ROUTE_PROTOCOL &&
    route.protocol !== RTPROT_KERNEL && !ofPods.has(route.link ?? "")
  );
  return foreign.flatMap((route) => {
    const { destination } = route;
    if (destination === "default") return [];
    return podCidrs.filter((cidr) => cidr.contains(destination)).map((cidr) =>
      finding(
        "warning",
        "foreign-route",
        `route ${describe(route)}`,
        `leads a part of pod CIDR ${cidr} elsewhere: pods that get an address there ${
          destination.prefixLength === Cidr.host(destination.network)
              .prefixLength
            ? "collide with it"
            : "are reached all the same, the rest is not refused but sent there"
        }`,
        `ip route del ${describe(route)}, or ${OTHER_CIDR}`,
      )
    );
  });
}

function describe({ destination, link, gateway, table }: RouteFacts): string {
  return [
    String(destination),
    ...gateway === undefined ? [] : [`via ${gateway}`],
    ...link === undefined ? [] : [`dev ${link}`],
    ...table === RT_TABLE_MAIN ? [] : [`table ${table}`],
  ].join(" ");
}

/** Rules that are asked before the main table, which has the routes to pods. */
function policyRules(given: Given): DiagnosisFinding[] {
  return given.podCidrs.flatMap((cidr) => {
    const found: DiagnosisFinding[] = [];
    const ordered = given.network.policyRules.filter(({ family }) =>
      family === cidr.family
    ).toSorted((a, b) => a.priority - b.priority);
    for (const rule of ordered) {
      const certain = isForAll(rule);
      // Routes to pods are as long as can be, so what is suppressed is others.
      if (
        rule.table === RT_TABLE_MAIN &&
        (certain || isForAll({ ...rule, destination: undefined }) &&
            rule.destination?.contains(cidr))
      ) return found;
      if (rule.table === RT_TABLE_LOCAL && rule.action === TO_TABLE) continue;
      if (!mayMatch(rule, cidr)) continue;
      const led = rule.action === TO_TABLE
        ? given.network.routes.find((route) => captures(route, rule, cidr))
        : undefined;
      if (rule.action === TO_TABLE && led === undefined) continue;
      found.push(finding(
        certain ? "error" : "warning",
        "policy-rule",
        `ip -${cidr.family} rule ${rule.priority}`,
        `comes before the main table and ${
          led === undefined
            ? "refuses packets"
            : `sends packets by "${describe(led)}"`
        }: ${
          certain ? "none" : "those that it matches do not"
        } get to pods of ${cidr}`,
        `ip -${cidr.family} rule add to ${cidr} lookup main priority ${
          Math.max(1, rule.priority - 1)
        }`,
      ));
    }
    return found;
  });
}

/** FR_ACT_TO_TBL (linux/fib_rules.h). */
const TO_TABLE = 1;
/** FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE and FR_ACT_PROHIBIT. */
const REFUSING: readonly number[] = [6, 7, 8];

function isForAll(
  rule: Omit<PolicyRule, "destination"> & {
    readonly destination?: Cidr | undefined;
  },
): boolean {
  return rule.source === undefined && rule.destination === undefined &&
    rule.inputLink === undefined && !rule.hasOtherConditions &&
    !rule.inverted;
}

/** Whether packets to pods of the network may match. */
function mayMatch(rule: PolicyRule, cidr: Cidr): boolean {
  if (rule.action !== TO_TABLE && !REFUSING.includes(rule.action)) return false;
  if (rule.inputLink === "lo") return false;
  if (rule.inverted || rule.destination === undefined) return true;
  return rule.destination.overlaps(cidr);
}

function captures(route: RouteFacts, rule: PolicyRule, cidr: Cidr): boolean {
  if (route.table !== rule.table || route.family !== cidr.family) return false;
  if (route.protocol === ROUTE_PROTOCOL) return false;
  const length = route.destination === "default"
    ? 0
    : route.destination.prefixLength;
  if (
    rule.suppressedPrefixLength !== undefined &&
    length <= rule.suppressedPrefixLength
  ) return false;
  const THROW = 9; // RTN_THROW: on with the next rule
  if (route.type === THROW) return false;
  return route.destination === "default" || route.destination.overlaps(cidr);
}

function mtu({ network, node }: Given): DiagnosisFinding[] {
  const { outsideMtu } = network;
  if (node === undefined || outsideMtu === undefined) return [];
  if (node.mtu <= outsideMtu) return [];
  return [finding(
    "warning",
    "mtu-too-large",
    `MTU of node ${node.name}`,
    `pods send up to ${node.mtu} bytes, and the way outside takes ${outsideMtu}: where ICMP is filtered, connections hang`,
    `take the node down and set it up with podnet node up --mtu ${outsideMtu}; until then podnet create --mtu ${outsideMtu}`,
  )];
}

function defaultRoutes({ network, podCidrs }: Given): DiagnosisFinding[] {
  const families = new Set(podCidrs.map(({ family }) => family));
  const without = ([4, 6] as const).filter((family) =>
    families.has(family) && defaultLinks(network, family).length === 0
  );
  if (without.length === 0) return [];
  return [finding(
    "note",
    "no-default-route",
    `${without.map((family: IpFamily) => `IPv${family}`).join(" and ")} routes`,
    "have no default: pods reach what the node has routes to, and nothing else",
    `nothing, if that is meant; else ip -${
      without[0]
    } route add default via GATEWAY`,
  )];
}

/** Leases do not matter to podnet, but to who looks for a reason why addresses change. */
function leases({ network }: Given): DiagnosisFinding[] {
  return uplinks(network).flatMap(({ name }) => {
    const leased = network.addresses.filter(({ link, permanent, scope }) =>
      link === name && !permanent && scope === RT_SCOPE_UNIVERSE
    );
    if (leased.length === 0) return [];
    return [finding(
      "note",
      "address-lease",
      `link ${name}`,
      `has ${
        leased.map(({ address }) => address).join(", ")
      } on lease (DHCP or router advertisements): masqueraded connections break when it changes, host ports follow`,
      "nothing; a fixed address keeps connections",
    )];
  });
}

/** Nobody but podnet has business with pods' links, and podnet gives their host ends no address. */
function managedPodLinks({ network }: Given): DiagnosisFinding[] {
  const RTPROT_DHCP = 16;
  const RTPROT_RA = 9;
  const meddled = network.links.filter(({ ofPod }) => ofPod).flatMap((
    { name },
  ) => [
    ...network.addresses.filter(({ link, address, scope }) =>
      link === name && !(scope === RT_SCOPE_LINK && address.family === 6)
    ).map(({ address, prefixLength }) => ({
      name,
      what: `address ${address}`,
      undo: `ip addr del ${address}/${prefixLength} dev ${name}`,
    })),
    ...network.routes.filter(({ link, protocol }) =>
      link === name && (protocol === RTPROT_DHCP || protocol === RTPROT_RA)
    ).map((route) => ({
      name,
      what: `route ${describe(route)}`,
      undo: `ip -${route.family} route del ${describe(route)}`,
    })),
  ]);
  const [first] = meddled;
  if (first === undefined) return [];
  return [finding(
    "warning",
    "pod-link-managed",
    `link ${first.name}${
      meddled.length === 1 ? "" : ` and ${meddled.length - 1} more`
    }`,
    `has ${first.what}, which podnet did not add: a network manager takes pods' links for its own`,
    `NetworkManager: [keyfile] unmanaged-devices=interface-name:pn-*; systemd-networkd: [Match] Name=pn-* [Link] Unmanaged=yes; then ${first.undo}${
      meddled.length === 1 ? "" : ", and the others likewise"
    }; podnet check --repair, for the kernel drops the pod's route with the last address`,
  )];
}

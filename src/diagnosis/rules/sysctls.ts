/**
 * Sysctls that keep packets from pods, or let in what should stay out.
 *
 * @module
 */
import type { IpFamily } from "../../net/ip.ts";
import type { Facts } from "../facts/facts.ts";
import type { LinkFacts } from "../facts/network.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";
import { bridgeFiltering, podBridges } from "./pod_bridges.ts";
import { defaultLinks, uplinks } from "./uplinks.ts";

/** Judges sysctls. */
export function sysctlFindings(
  facts: Pick<Facts, "network" | "podCidrs" | "node">,
): DiagnosisFinding[] {
  return [
    ...readOnly(facts),
    ...forwarding(facts),
    ...ipv6(facts),
    ...reversePath(facts),
    ...advertisements(facts),
    ...loopback(facts),
    ...bridges(facts),
    ...unusual(facts),
  ];
}

type Given = Pick<Facts, "network" | "podCidrs" | "node">;

function sysctl(name: string): string {
  return `sysctl ${name}`;
}

function families({ podCidrs }: Given): ReadonlySet<IpFamily> {
  return new Set(podCidrs.map(({ family }) => family));
}

const FORWARDING = {
  4: "net.ipv4.ip_forward",
  6: "net.ipv6.conf.all.forwarding",
} as const;

/** What podnet sets is forwarding where it is off, and that the link of a pod without IPv6 has none. */
function readOnly(given: Given): DiagnosisFinding[] {
  const { network } = given;
  if (!network.sysctlsReadOnly) return [];
  const found = families(given);
  const needed = found.size === 0 ? [4 as const] : [...found];
  const off = needed.map((family) => FORWARDING[family])
    .filter((name) => network.sysctls[name] === "0");
  const isBare = found.size > 0 && !found.has(6) && hasIpv6(network);
  const lost = [
    ...off.length === 0 ? [] : [`${off.join(" and ")} cannot be set to 1`],
    ...isBare ? ["pods' links cannot be kept from IPv6"] : [],
  ];
  return [finding(
    lost.length === 0 ? "warning" : "error",
    "sysctls-read-only",
    "/proc/sys",
    `is read-only: ${
      lost.length === 0
        ? "no sysctl can be set, such as those of a spec"
        : `${lost.join(", and ")}, so podnet can make no pods`
    }`,
    "mount -o remount,bind,rw /proc/sys; in a container: docker run --privileged",
  )];
}

function hasIpv6({ sysctls }: Given["network"]): boolean {
  return sysctls["net.ipv6.conf.all.disable_ipv6"] !== undefined;
}

/** Of a node that is set up; setting one up switches it on. */
function forwarding(given: Given): DiagnosisFinding[] {
  const { network: { sysctls }, node } = given;
  if (!node?.here) return [];
  const found: DiagnosisFinding[] = [];
  for (const family of [4, 6] as const) {
    const name = FORWARDING[family];
    if (!families(given).has(family) || sysctls[name] !== "0") continue;
    found.push(finding(
      "error",
      "forwarding-off",
      sysctl(name),
      `is 0: no IPv${family} packet gets to a pod, or from one`,
      `sysctl -w ${name}=1, and in /etc/sysctl.d for the next boot`,
    ));
  }
  for (const link of uplinks(given.network)) {
    if (
      sysctls["net.ipv4.ip_forward"] !== "1" || link.ipv4?.forwarding !== 0 ||
      !families(given).has(4)
    ) continue;
    const name = `net.ipv4.conf.${inName(link)}.forwarding`;
    found.push(finding(
      "warning",
      "link-forwarding-off",
      sysctl(name),
      `is 0: what comes in by ${link.name} does not get to pods, answers to them included`,
      `sysctl -w ${name}=1`,
    ));
  }
  return found;
}

/** In a sysctl's name, a slash stands for a dot of the link's (sysctl.d(5)). */
function inName({ name }: Pick<LinkFacts, "name">): string {
  return name.replaceAll(".", "/");
}

function ipv6(given: Given): DiagnosisFinding[] {
  const { sysctls } = given.network;
  if (!families(given).has(6)) return [];
  const off = ["all", "default", "lo"].map((link) =>
    `net.ipv6.conf.${link}.disable_ipv6`
  ).filter((name) => sysctls[name] === "1");
  if (off.length === 0) {
    return !hasIpv6(given.network)
      ? [finding(
        "error",
        "ipv6-disabled",
        "IPv6",
        "this kernel has none: it was started with ipv6.disable=1, or built without",
        "take ipv6.disable=1 off the kernel's command line, or give the node an IPv4 pod CIDR only",
      )]
      : [];
  }
  return [finding(
    "error",
    "ipv6-disabled",
    sysctl(off.join(", ")),
    "is 1: links of pods have no IPv6, and the node has an IPv6 pod CIDR",
    `sysctl -w ${off.map((name) => `${name}=0`).join(" ")}`,
  )];
}

/** The larger of a link's own and the one for all counts (ip-sysctl). */
function reversePath({ network }: Given): DiagnosisFinding[] {
  const leading = defaultLinks(network, 4);
  if (leading.length < 2) return [];
  const all = Number(network.sysctls["net.ipv4.conf.all.rp_filter"] ?? 0);
  const STRICT = 1;
  return leading.filter((link) =>
    Math.max(all, link.ipv4?.rpFilter ?? 0) === STRICT
  ).map((link) =>
    finding(
      "warning",
      "strict-reverse-path",
      sysctl(`net.ipv4.conf.${inName(link)}.rp_filter`),
      `is strict${
        all === STRICT ? " (by net.ipv4.conf.all.rp_filter)" : ""
      }, and several links lead outside: what comes in by the one that is not preferred is dropped`,
      `sysctl -w net.ipv4.conf.${inName(link)}.rp_filter=2`,
    )
  );
}

/** A link that forwards takes advertisements with `accept_ra` 2 only. */
function advertisements({ network }: Given): DiagnosisFinding[] {
  const RTPROT_RA = 9;
  const RT_SCOPE_UNIVERSE = 0;
  return uplinks(network).filter(({ name, ipv6 }) =>
    ipv6?.forwarding === 1 && ipv6.acceptRa === 1 &&
    (network.routes.some((route) =>
      route.link === name && route.protocol === RTPROT_RA
    ) ||
      network.addresses.some(({ link, address, permanent, scope }) =>
        link === name && address.family === 6 && !permanent &&
        scope === RT_SCOPE_UNIVERSE
      ))
  ).map((link) => {
    const name = `net.ipv6.conf.${inName(link)}.accept_ra`;
    return finding(
      "warning",
      "advertisements-ignored",
      sysctl(name),
      `is 1 on a link that forwards: ${link.name} takes no more router advertisements, and its routes and addresses from them run out`,
      `sysctl -w ${name}=2`,
    );
  });
}

function loopback({ network }: Given): DiagnosisFinding[] {
  const open = [
    ...["all", "default"].filter((name) =>
      network.sysctls[`net.ipv4.conf.${name}.route_localnet`] === "1"
    ),
    ...network.links.filter(({ ipv4 }) => ipv4?.routeLocalnet === 1)
      .map(inName),
  ];
  if (open.length === 0) return [];
  const names = open.map((name) => `net.ipv4.conf.${name}.route_localnet`);
  const [first = ""] = names;
  const others = names.length === 1 ? "" : ` and ${names.length - 1} more`;
  return [finding(
    "warning",
    "route-localnet",
    sysctl(first) + others,
    "is 1: neighbours and pods can reach what listens on 127.0.0.1 of the node (CVE-2020-8558) as soon as no rule keeps them out",
    `sysctl -w ${
      names.map((name) => `${name}=0`).join(" ")
    }; podnet does not need it`,
  )];
}

/** Who sets the policy of FORWARD to drop, as Docker does, keeps pods on a bridge from each other. */
function bridges({ network }: Given): DiagnosisFinding[] {
  const on = bridgeFiltering(network).map(({ sysctl }) => sysctl);
  if (on.length === 0) return [];
  const about = sysctl(on.join(", "));
  const is = "is 1: what crosses a bridge passes the rules of IP too.";
  const names = podBridges(network).map(({ name }) => name);
  if (names.length === 0) {
    return [finding(
      "note",
      "bridge-filtering",
      about,
      `${is} Pods of podnet are on no bridge, so they do not mind`,
      "nothing; other users of bridges may want 0",
    )];
  }
  const accept = names.map((name) =>
    `iptables -I FORWARD -i ${name} -o ${name} -j ACCEPT`
  ).join("; ");
  return [finding(
    "warning",
    "bridge-filtering",
    about,
    `${is} Pods are on ${
      names.join(", ")
    }: who drops what is forwarded keeps them from each other`,
    `sysctl -w ${
      on.map((name) => `${name}=0`).join(" ")
    }, unless others need it, as Docker and Kubernetes do; else let them through: ${accept}; ip6tables likewise`,
  )];
}

/** Settings that are not the kernel's own, and what they mean to pods. */
const UNUSUAL: readonly {
  readonly name: string;
  readonly usual: string;
  readonly message: string;
}[] = [
  {
    name: "net.ipv4.conf.all.accept_local",
    usual: "0",
    message:
      "packets from outside may claim to come from the node itself; of pods, podnet's own rules refuse them",
  },
  {
    name: "net.ipv4.conf.all.arp_ignore",
    usual: "0",
    message:
      "the node does not answer for all of its addresses; pods do not ask, for they have their gateway as a permanent neighbour",
  },
  {
    name: "net.netfilter.nf_conntrack_tcp_be_liberal",
    usual: "0",
    message:
      "TCP packets outside of their window are not told apart, so fewer are dropped as invalid",
  },
  {
    name: "net.ipv4.conf.all.log_martians",
    usual: "0",
    message:
      "each packet with an impossible source is logged, which a pod can make happen often",
  },
];

function unusual({ network: { sysctls } }: Given): DiagnosisFinding[] {
  return UNUSUAL.filter(({ name, usual }) => (sysctls[name] ?? usual) !== usual)
    .map(({ name, usual, message }) =>
      finding(
        "note",
        "unusual-sysctl",
        sysctl(name),
        `is ${sysctls[name]}: ${message}`,
        `nothing; sysctl -w ${name}=${usual} is what the kernel begins with`,
      )
    );
}

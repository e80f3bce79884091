/**
 * Sysctls, addresses, routes and policy rules.
 *
 * @module
 */
import { address, healthy, link, route } from "./healthy.ts";
import { type Case, network, rule, sysctl } from "./spoiled.ts";

export const networkCases: readonly Case[] = [
  [
    "read-only sysctls that are as they must be",
    network({ sysctlsReadOnly: true }),
    "sysctls-read-only",
    "warning",
  ],
  [
    "read-only sysctls, and IPv4 alone",
    {
      ...network({ sysctlsReadOnly: true }),
      podCidrs: healthy.podCidrs.filter(({ family }) => family === 4),
    },
    "sysctls-read-only",
    "error",
  ],
  [
    "read-only sysctls, and IPv4 alone on a kernel that has no other",
    {
      ...network({
        sysctlsReadOnly: true,
        sysctls: { "net.ipv4.ip_forward": "1" },
      }),
      podCidrs: healthy.podCidrs.filter(({ family }) => family === 4),
    },
    "sysctls-read-only",
    "warning",
  ],
  [
    "no IPv6 forwarding",
    sysctl("net.ipv6.conf.all.forwarding", "0"),
    "forwarding-off",
    "error",
  ],
  [
    "no IPv4 forwarding of a link",
    network({ links: [link("eth0", { ipv4: { forwarding: 0 } })] }),
    "link-forwarding-off",
    "warning",
  ],
  [
    "IPv6 switched off for all",
    sysctl("net.ipv6.conf.all.disable_ipv6", "1"),
    "ipv6-disabled",
    "error",
  ],
  [
    "a kernel without IPv6",
    network({ sysctls: { "net.ipv4.ip_forward": "1" } }),
    "ipv6-disabled",
    "error",
  ],
  [
    "strict reverse path and two ways out",
    network({
      links: [link("eth0", { ipv4: { rpFilter: 1 } }), link("eth1")],
      routes: [...healthy.network.routes, route("default", { link: "eth1" })],
    }),
    "strict-reverse-path",
    "warning",
  ],
  [
    "strict reverse path and one way out",
    network({ links: [link("eth0", { ipv4: { rpFilter: 1 } })] }),
  ],
  [
    "loose reverse path in spite of all",
    {
      ...network({
        links: [
          link("eth0", { ipv4: { rpFilter: 2 } }),
          link("eth1", { ipv4: { rpFilter: 2 } }),
        ],
        routes: [...healthy.network.routes, route("default", { link: "eth1" })],
        sysctls: {
          ...healthy.network.sysctls,
          "net.ipv4.conf.all.rp_filter": "1",
        },
      }),
    },
  ],
  [
    "routes from advertisements",
    network({
      routes: [...healthy.network.routes, route("fd99::/64", { protocol: 9 })],
    }),
    "advertisements-ignored",
    "warning",
  ],
  [
    "route_localnet",
    sysctl("net.ipv4.conf.all.route_localnet", "1"),
    "route-localnet",
    "warning",
  ],
  [
    "accept_local",
    sysctl("net.ipv4.conf.all.accept_local", "1"),
    "unusual-sysctl",
    "note",
  ],
  [
    "arp_ignore",
    sysctl("net.ipv4.conf.all.arp_ignore", "1"),
    "unusual-sysctl",
    "note",
  ],
  [
    "liberal TCP",
    sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", "1"),
    "unusual-sysctl",
    "note",
  ],
  [
    "logged martians",
    sysctl("net.ipv4.conf.all.log_martians", "1"),
    "unusual-sysctl",
    "note",
  ],
  [
    "br_netfilter",
    sysctl("net.bridge.bridge-nf-call-iptables", "1"),
    "bridge-filtering",
    "note",
  ],
  [
    "br_netfilter, and a pod on a bridge",
    network({
      links: [
        ...healthy.network.links,
        link("br0", { index: 3, kind: "bridge" }),
        link("pp-0123456789ab", { index: 4, master: 3 }),
      ],
      sysctls: {
        ...healthy.network.sysctls,
        "net.bridge.bridge-nf-call-ip6tables": "1",
      },
    }),
    "bridge-filtering",
    "warning",
  ],
  [
    "br_netfilter, and a bridge of others",
    network({
      links: [
        ...healthy.network.links,
        link("br0", { index: 3, kind: "bridge" }),
        link("pp-0123456789ab", { index: 4, master: 5 }),
      ],
      sysctls: {
        ...healthy.network.sysctls,
        "net.bridge.bridge-nf-call-iptables": "1",
      },
    }),
    "bridge-filtering",
    "note",
  ],
  [
    "a network that overlaps",
    network({
      addresses: [
        ...healthy.network.addresses,
        address("eth0", "10.244.9.9", 16),
      ],
    }),
    "pod-cidr-overlap",
    "error",
  ],
  [
    "an address alone",
    network({
      addresses: [
        ...healthy.network.addresses,
        address("lo", "10.244.1.1", 32),
      ],
    }),
  ],
  [
    "a wider route of others",
    network({ routes: [...healthy.network.routes, route("10.0.0.0/8")] }),
  ],
  [
    "a route of others to one pod",
    network({ routes: [...healthy.network.routes, route("10.244.1.9/32")] }),
    "foreign-route",
    "warning",
  ],
  ["a policy rule for all", rule({}), "policy-rule", "error"],
  [
    "a policy rule for a mark",
    rule({ hasOtherConditions: true }),
    "policy-rule",
    "warning",
  ],
  [
    "a policy rule that refuses",
    rule({ action: 8, table: 0 }),
    "policy-rule",
    "error",
  ],
  [
    "a policy rule to elsewhere",
    rule({ destination: address("x", "10.9.0.0", 16).network }),
  ],
  [
    "a policy rule that leaves default routes out",
    rule({ suppressedPrefixLength: 0 }),
  ],
  ["a policy rule after the main table", rule({ priority: 40000 })],
  ["a policy rule for an empty table", rule({ table: 78 })],
  [
    "a policy rule behind one for the pods",
    (() => {
      const { network: spoiled } = rule({});
      const cured = healthy.podCidrs.map((destination) => ({
        family: destination.family,
        priority: 99,
        table: 254,
        action: 1,
        destination,
        hasOtherConditions: false,
        inverted: false,
      }));
      return network({
        ...spoiled,
        policyRules: [...spoiled?.policyRules ?? [], ...cured],
      });
    })(),
  ],
  ["a small MTU", network({ outsideMtu: 1420 }), "mtu-too-large", "warning"],
  ["a large MTU", network({ outsideMtu: 9000 })],
  [
    "no default route",
    network({ routes: [route("default")] }),
    "no-default-route",
    "note",
  ],
  [
    "a lease",
    network({
      addresses: [address("eth0", "192.168.50.1", 24, { permanent: false })],
    }),
    "address-lease",
    "note",
  ],
  [
    "a pod's link with an address",
    network({
      addresses: [
        ...healthy.network.addresses,
        address("pn-0", "169.254.3.4", 16, { scope: 253 }),
      ],
    }),
    "pod-link-managed",
    "warning",
  ],
  [
    "a pod's link with a link-local address of the kernel",
    network({
      addresses: [
        ...healthy.network.addresses,
        address("pn-0", "fe80::1", 64, { scope: 253 }),
      ],
    }),
  ],
];

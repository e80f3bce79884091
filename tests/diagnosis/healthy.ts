/**
 * Facts of a healthy node, to be spoiled one by one.
 *
 * @module
 */
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import type { Facts } from "../../src/diagnosis/facts/facts.ts";
import type {
  AddressFacts,
  LinkFacts,
  NetworkFacts,
  RouteFacts,
} from "../../src/diagnosis/facts/network.ts";
import type { NodeFacts } from "../../src/diagnosis/facts/node_facts.ts";
import type {
  ChainFacts,
  TableFacts,
} from "../../src/diagnosis/facts/ruleset.ts";
import type { Trial, TrialOutcome } from "../../src/diagnosis/facts/trial.ts";

/** A link. */
export function link(name: string, parts: Partial<LinkFacts> = {}): LinkFacts {
  return {
    index: 2,
    name,
    up: true,
    mtu: 1500,
    ofPod: name.startsWith("pn-"),
    ipv4: { forwarding: 1, rpFilter: 0, routeLocalnet: 0 },
    ipv6: { forwarding: 1, acceptRa: 1 },
    ...parts,
  };
}

/** An address of a link. */
export function address(
  link: string,
  text: string,
  prefixLength: number,
  parts: Partial<AddressFacts> = {},
): AddressFacts {
  const address = IpAddress.parse(text);
  const bits = BigInt((address.family === 4 ? 32 : 128) - prefixLength);
  return {
    link,
    address,
    prefixLength,
    network: Cidr.of(
      IpAddress.fromBigInt(address.toBigInt() >> bits << bits, address.family),
      prefixLength,
    ),
    scope: 0,
    permanent: true,
    ...parts,
  };
}

/** A route. */
export function route(
  destination: string,
  parts: Partial<RouteFacts> = {},
): RouteFacts {
  const cidr = destination === "default" ? undefined : Cidr.parse(destination);
  return {
    family: cidr?.family ?? 4,
    destination: cidr ?? "default",
    type: "unicast",
    protocol: 3,
    table: 254,
    scope: 0,
    link: "eth0",
    ...parts,
  };
}

/** A table with one base chain at the hook forward. */
export function table(
  parts: Partial<TableFacts> = {},
  chain: Partial<ChainFacts> = {},
): TableFacts {
  return {
    family: "inet",
    name: "fw",
    chains: new Map([["forward", {
      name: "forward",
      hook: { type: "filter", hook: "forward", priority: 0, policy: "accept" },
      rules: [],
      ...chain,
    }]]),
    sets: new Map(),
    flowtables: [],
    ...parts,
  };
}

/** A trial of the kernel. */
export function trial(
  feature: string,
  needed: boolean,
  outcome: TrialOutcome,
  error?: string,
): Trial {
  return {
    feature,
    needed,
    outcome,
    without: "something is lost",
    ...(error === undefined ? {} : { error }),
  };
}

/** Facts in which nothing is worth a word. */
export const healthy: Facts & {
  readonly node: NodeFacts;
  readonly network: NetworkFacts;
} = {
  name: "node-1",
  platform: {
    deno: "2.9.6",
    architecture: "x86_64",
    libc: "glibc 2.36",
    kernel: "6.18.0",
  },
  privileges: {
    user: 0,
    capabilities: ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"],
    userNamespace: false,
    foreignNamespaces: [],
    noNewPrivileges: false,
    seccomp: false,
    openFilesLimit: 65536,
  },
  trials: [trial("veth", true, "works"), trial("vxlan", false, "works")],
  limits: {
    maxNetworkNamespaces: 10000,
    maxMounts: 100000,
    mounts: 30,
    maxTrackedConnections: 262144,
    trackedConnections: 12,
    maxNeighbours: { 4: 1024, 6: 1024 },
    neighbours: { 4: 3, 6: 3 },
    maxReceiveBuffer: 4194304,
    maxSendBuffer: 4194304,
    localPorts: [32768, 60999],
    unprivilegedPortStart: 1024,
  },
  stateDirectory: {
    path: "/run/podnet",
    status: { kind: "directory", mode: 0o700, uid: 0 },
    nodes: ["node-1"],
    fileSystem: "tmpfs",
    readOnly: false,
    writable: true,
    availableBytes: 1 << 30,
    freeFiles: 100000,
    shared: true,
  },
  network: {
    id: "net:[1]",
    links: [link("lo", { index: 1 }), link("eth0"), link("pn-0", { index: 9 })],
    addresses: [address("eth0", "192.168.50.1", 24)],
    routes: [
      route("default"),
      route("default", { family: 6 }),
      route("10.244.1.7/32", { link: "pn-0", protocol: 112 }),
    ],
    policyRules: [0, 32766, 32767].map((priority, i) => ({
      family: 4,
      priority,
      table: 255 - i,
      action: 1,
      hasOtherConditions: false,
      inverted: false,
    })),
    sysctls: {
      "net.ipv4.ip_forward": "1",
      "net.ipv6.conf.all.forwarding": "1",
      "net.ipv6.conf.all.disable_ipv6": "0",
      "net.ipv4.conf.all.rp_filter": "0",
    },
    sysctlsReadOnly: false,
    outsideMtu: 1500,
    legacyTables: {},
  },
  ruleset: [],
  node: {
    name: "node-1",
    stateDir: "/run/podnet",
    netnsId: "net:[1]",
    podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
    mtu: 1500,
    masquerade: true,
    here: true,
    sandboxes: 1,
    pins: 1,
    pinsShared: true,
    table: "present",
    rules: 25,
    elements: 6,
    links: 1,
    routes: 2,
    gateways: ["10.244.1.1", "fd00:10:244:1::1"],
    hostPorts: [],
    differences: [],
    garbage: [],
  },
  podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"].map((text) =>
    Cidr.parse(text)
  ),
  listeners: [],
  unseen: [],
};

/** Which way a node reaches each of the others: facts and members in, the whole state as text out. */
import { assertEquals } from "@std/assert";
import type { ClusterMember } from "../../src/cluster/member.ts";
import { ownEndpoint } from "../../src/cluster/endpoint.ts";
import {
  parsePathOptions,
  type PathOptions,
} from "../../src/cluster/path_options.ts";
import { renderPlan } from "../../src/cluster/path_text.ts";
import { planPaths } from "../../src/cluster/plan_paths.ts";
import type { Underlay } from "../../src/cluster/underlay.ts";

/** The first node, on a segment with the second; the third is behind a router. */
const DUAL: Underlay = {
  addresses: ["192.168.50.1", "fd50::1"],
  mtu: 1500,
  networks: [
    { network: "192.168.50.0/24", link: "eth0", index: 2 },
    { network: "fd50::/64", link: "eth0", index: 2 },
  ],
};
const ONLY = (family: 4 | 6): Underlay => {
  const isIt = (text: string) => text.includes(":") === (family === 6);
  return {
    mtu: DUAL.mtu,
    addresses: DUAL.addresses.filter(isIt),
    networks: DUAL.networks.filter(({ network }) => isIt(network)),
  };
};

/** Member number `number`. */
function member(
  number: number,
  addresses: readonly string[],
  change: Partial<ClusterMember> = {},
): ClusterMember {
  return {
    name: `n${number}`,
    podCidrs: [`10.244.${number}.0/24`, `fd00:10:244:${number}::/64`],
    addresses,
    vxlan: { vni: 112, port: 8472, mac: `02:00:00:00:00:0${number}` },
    ...change,
  };
}

/** The plan of the first node as text, without what all plans of it have in common. */
function plan(
  underlay: Underlay,
  others: readonly ClusterMember[],
  options: PathOptions = {},
  change: Partial<ClusterMember> = {},
): string[] {
  const self = member(1, underlay.addresses, change);
  return renderPlan(planPaths({
    underlay,
    self,
    members: [self, ...others],
    options: parsePathOptions(options),
  })).trimEnd().split("\n").filter((line) => !/^(?:peers|address) /.test(line));
}

const TUNNEL4 =
  "link podnet-vx4 vxlan id 112 dstport 8472 local 192.168.50.1 address 02:00:00:00:00:01 mtu 1450";
const TUNNEL6 =
  "link podnet-vx6 vxlan id 112 dstport 8472 local fd50::1 address 02:00:00:00:00:01 mtu 1430";

Deno.test("X8 auto: a node on a segment by plain routes, one behind a router by the tunnel: the whole state", () => {
  const self = member(1, DUAL.addresses);
  assertEquals(
    renderPlan(planPaths({
      underlay: DUAL,
      self,
      members: [
        self,
        member(2, ["192.168.50.2", "fd50::2"]),
        member(3, ["192.168.51.3", "fd51::3"]),
      ],
      options: parsePathOptions({ clusterCidrs: ["10.244.0.0/16"] }),
    })),
    `${TUNNEL4}
address 10.244.1.1/32 dev podnet-vx4 scope link
route unreachable 10.244.0.0/16
peers 10.244.0.0/16
refused Conflict: no path to node "n2": fd00:10:244:2::/64 is not of the cluster (10.244.0.0/16)
refused Conflict: no path to node "n3": fd00:10:244:3::/64 is not of the cluster (10.244.0.0/16)
`,
  );
  assertEquals(
    renderPlan(planPaths({
      underlay: DUAL,
      self,
      members: [
        self,
        member(3, ["192.168.51.3", "fd51::3"]),
        member(2, ["192.168.50.2", "fd50::2"]),
      ],
      options: parsePathOptions({
        clusterCidrs: ["10.244.0.0/16", "fd00:10:244::/48"],
      }),
    })),
    `${TUNNEL4}
address 10.244.1.1/32 dev podnet-vx4 scope link
fdb 02:00:00:00:00:03 dev podnet-vx4 dst 192.168.51.3
neigh 10.244.3.1 lladdr 02:00:00:00:00:03 dev podnet-vx4
neigh fe80::ff:fe00:3 lladdr 02:00:00:00:00:03 dev podnet-vx4
route unreachable 10.244.0.0/16
route 10.244.2.0/24 via 192.168.50.2 dev eth0
route 10.244.3.0/24 via 10.244.3.1 dev podnet-vx4 onlink src 10.244.1.1
route fd00:10:244:2::/64 via fd50::2 dev eth0
route fd00:10:244:3::/64 via fe80::ff:fe00:3 dev podnet-vx4 onlink src fd00:10:244:1::1
route unreachable fd00:10:244::/48
route 192.168.51.3/32 via 10.244.3.1 dev podnet-vx4 onlink table pods
route fd51::3/128 via fe80::ff:fe00:3 dev podnet-vx4 onlink table pods
rule from 10.244.1.0/24 lookup pods
rule from fd00:10:244:1::/64 lookup pods
peers 10.244.0.0/16
peers 10.244.2.0/24
peers 10.244.3.0/24
peers 192.168.50.2/32
peers 192.168.51.3/32
peers fd00:10:244:2::/64
peers fd00:10:244:3::/64
peers fd00:10:244::/48
peers fd50::2/128
peers fd51::3/128
tunnel from 192.168.50.2 to port 8472
tunnel from 192.168.51.3 to port 8472
tunnel from fd50::2 to port 8472
tunnel from fd51::3 to port 8472
`,
  );
});

Deno.test("auto: IPv6 pods over an underlay that has IPv4 only go by the tunnel, IPv4 pods of the same node by a route", () => {
  assertEquals(plan(ONLY(4), [member(2, ["192.168.50.2"])]), [
    TUNNEL4,
    "fdb 02:00:00:00:00:02 dev podnet-vx4 dst 192.168.50.2",
    "neigh fe80::ff:fe00:2 lladdr 02:00:00:00:00:02 dev podnet-vx4",
    "route 10.244.2.0/24 via 192.168.50.2 dev eth0",
    "route fd00:10:244:2::/64 via fe80::ff:fe00:2 dev podnet-vx4 onlink src fd00:10:244:1::1",
    "tunnel from 192.168.50.2 to port 8472",
  ]);
});

Deno.test("auto: IPv4 pods over an underlay that has IPv6 only go by the tunnel, with its larger overhead", () => {
  assertEquals(plan(ONLY(6), [member(2, ["fd50::2"])]), [
    TUNNEL6,
    "fdb 02:00:00:00:00:02 dev podnet-vx6 dst fd50::2",
    "neigh 10.244.2.1 lladdr 02:00:00:00:00:02 dev podnet-vx6",
    "route 10.244.2.0/24 via 10.244.2.1 dev podnet-vx6 onlink src 10.244.1.1",
    "route fd00:10:244:2::/64 via fd50::2 dev eth0",
    "tunnel from fd50::2 to port 8472",
  ]);
});

Deno.test("a tunnel over IPv6 is there besides that over IPv4 for a peer without IPv4, and only then", () => {
  assertEquals(
    plan(DUAL, [
      member(3, ["fd51::3"], { podCidrs: ["10.244.3.0/24"] }),
    ]),
    [
      TUNNEL4,
      TUNNEL6,
      "fdb 02:00:00:00:00:03 dev podnet-vx6 dst fd51::3",
      "neigh 10.244.3.1 lladdr 02:00:00:00:00:03 dev podnet-vx6",
      "neigh fe80::ff:fe00:3 lladdr 02:00:00:00:00:03 dev podnet-vx6",
      "route 10.244.3.0/24 via 10.244.3.1 dev podnet-vx6 onlink src 10.244.1.1",
      "route fd51::3/128 via fe80::ff:fe00:3 dev podnet-vx6 onlink table pods",
      "rule from fd00:10:244:1::/64 lookup pods",
      "tunnel from fd51::3 to port 8472",
    ],
  );
});

Deno.test("vxlan: nodes on a segment are reached by the tunnel too, and their addresses by pods", () => {
  assertEquals(
    plan(ONLY(4), [
      member(2, ["192.168.50.2"], { podCidrs: ["10.244.2.0/24"] }),
    ], { backend: "vxlan" }),
    [
      TUNNEL4,
      "fdb 02:00:00:00:00:02 dev podnet-vx4 dst 192.168.50.2",
      "neigh 10.244.2.1 lladdr 02:00:00:00:00:02 dev podnet-vx4",
      "route 10.244.2.0/24 via 10.244.2.1 dev podnet-vx4 onlink src 10.244.1.1",
      "route 192.168.50.2/32 via 10.244.2.1 dev podnet-vx4 onlink table pods",
      "rule from 10.244.1.0/24 lookup pods",
      "tunnel from 192.168.50.2 to port 8472",
    ],
  );
});

Deno.test("host-gw: no tunnel, and a peer that is on no network of the node is refused as far as it is not", () => {
  assertEquals(
    plan(ONLY(4), [
      member(2, ["192.168.50.2"]),
      member(3, ["192.168.51.3"]),
    ], { backend: "host-gw" }),
    [
      "route 10.244.2.0/24 via 192.168.50.2 dev eth0",
      'refused OffLink: no path to node "n2": no IPv6 address of it is on a network of this node, so fd00:10:244:2::/64 cannot be routed there: use backend "auto" or "vxlan"',
      'refused OffLink: no path to node "n3": no IPv4 address of it is on a network of this node, so 10.244.3.0/24 and fd00:10:244:3::/64 cannot be routed there: use backend "auto" or "vxlan"',
    ],
  );
});

Deno.test("wireguard: peers with their keys, and routes over its link", () => {
  const key = (letter: string) => `${letter.repeat(43)}=`;
  const wireguard = (letter: string) => ({
    wireguard: { publicKey: key(letter), port: 51820 },
  });
  const { vxlan: _, ...bare } = member(1, ONLY(4).addresses);
  assertEquals(
    renderPlan(planPaths({
      underlay: ONLY(4),
      self: { ...bare, ...wireguard("A") },
      members: [
        { ...bare, ...member(2, ["192.168.50.2"]), ...wireguard("B") },
        member(3, ["192.168.51.3"]),
      ],
      options: parsePathOptions({ backend: "wireguard" }),
    })).split("\n").filter((line) => !line.startsWith("peers ")),
    [
      "link podnet-wg wireguard port 51820 mtu 1440",
      `peer ${
        key("B")
      } endpoint 192.168.50.2 port 51820 allowed-ips 10.244.2.0/24,fd00:10:244:2::/64`,
      "route 10.244.2.0/24 dev podnet-wg src 10.244.1.1",
      "route fd00:10:244:2::/64 dev podnet-wg src fd00:10:244:1::1",
      'refused NoTunnel: no path to node "n3": one of the two nodes has no WireGuard key: use the same backend on all nodes',
      "",
    ],
  );
});

Deno.test("the longest prefix decides which link leads to a peer", () => {
  const underlay: Underlay = {
    ...ONLY(4),
    networks: [
      { network: "192.168.0.0/16", link: "eth0", index: 2 },
      { network: "192.168.51.0/24", link: "eth1", index: 3 },
    ],
  };
  assertEquals(
    plan(underlay, [
      member(3, ["192.168.51.3"], { podCidrs: ["10.244.3.0/24"] }),
    ]).filter((line) => line.startsWith("route")),
    ["route 10.244.3.0/24 via 192.168.51.3 dev eth1"],
  );
});

/** Members that cannot be what they say: the second of the three, and what is said of it. */
const LIARS: readonly (readonly [
  what: string,
  change: Partial<ClusterMember>,
  refusal: string,
])[] = [
  [
    "this node's pods",
    { podCidrs: ["10.244.0.0/16"] },
    "Conflict: 10.244.0.0/16 is of this node",
  ],
  [
    "everything",
    { podCidrs: ["0.0.0.0/0"] },
    "Conflict: 0.0.0.0/0 is of this node",
  ],
  [
    "the segment",
    { podCidrs: ["192.168.50.128/25"] },
    "Conflict: 192.168.50.128/25 overlaps 192.168.50.0/24, a network that this node is on",
  ],
  [
    "the pods of a member whose name comes first",
    { podCidrs: ["10.244.8.128/25"] },
    "Conflict: 10.244.8.128/25 is of n0",
  ],
  [
    "a network around that of a member whose name comes first",
    { podCidrs: ["fd00:10:244:8::/63"] },
    "Conflict: fd00:10:244:8::/63 is of n0",
  ],
  [
    "the address of another node",
    { addresses: ["192.168.50.100"] },
    "Conflict: 192.168.50.100/32 is of n0",
  ],
  [
    "this node's address",
    { addresses: ["192.168.50.1"] },
    "Conflict: 192.168.50.1/32 is of this node",
  ],
  [
    "an address of this node's pods",
    { addresses: ["10.244.1.7"] },
    "Conflict: 10.244.1.7/32 is of this node",
  ],
  [
    "the MAC address of another node's tunnel",
    { vxlan: { vni: 112, port: 8472, mac: "02:00:00:00:00:00" } },
    "Conflict: the MAC address of its tunnel is that of n0",
  ],
  [
    "the name of another member",
    { name: "n0" },
    "Conflict: another member has its name",
  ],
  [
    "a network with host bits",
    { podCidrs: ["10.244.2.1/24"] },
    'Invalid: 10.244.2.1/24 has host bits set: write "10.244.2.0/24"',
  ],
  [
    "loopback",
    { addresses: ["127.0.0.1"] },
    "Invalid: 127.0.0.1 is no address of a node",
  ],
  [
    "two networks of one IP version",
    { podCidrs: ["10.244.2.0/24", "10.244.3.0/24"] },
    "Invalid: it has two pod CIDRs of one IP version",
  ],
  [
    "a network identifier of its own",
    {
      addresses: ["192.168.51.2"],
      vxlan: { vni: 7, port: 8472, mac: "02:00:00:00:00:02" },
    },
    "NoTunnel: its tunnel has network identifier 7 and port 8472, this node's 112 and 8472: use the same options on all nodes",
  ],
  [
    "addresses of another IP version only",
    { addresses: ["fd51::2"] },
    "NoCommonFamily: the two nodes have no addresses of the same IP version",
  ],
];

for (const [what, change, refusal] of LIARS) {
  Deno.test(`a member that claims ${what} is refused, and nobody else`, () => {
    const first = member(0, ["192.168.50.100"], {
      podCidrs: ["10.244.8.0/24", "fd00:10:244:8::/64"],
    });
    const liar = { ...member(2, ["192.168.50.2"]), ...change };
    const last = member(4, ["192.168.50.4"]);
    const alone = plan(ONLY(4), [first, last]);
    const found = plan(ONLY(4), [last, first, liar]);
    assertEquals(
      found.filter((line) => line.startsWith("refused")).map((line) =>
        line.replace(/^refused /, "").replace(/no path to node "\w+": /, "")
      ),
      [refusal],
    );
    assertEquals(
      found.filter((line) =>
        !line.startsWith("refused") && !line.startsWith("tunnel from fd") &&
        !line.startsWith("tunnel from 192.168.51")
      ),
      alone,
    );
  });
}

Deno.test("a member whose address the cluster's networks take from this node is refused", () => {
  const far = "192.168.51.3";
  const refused = (clusterCidrs: string[], ...more: readonly string[]) =>
    plan(
      {
        ...DUAL,
        networks: [
          ...DUAL.networks,
          ...more.map((network) => ({ network, link: "eth1", index: 3 })),
        ],
      },
      [
        member(2, ["192.168.50.2"], { podCidrs: ["192.168.2.0/24"] }),
        member(3, [far], { podCidrs: ["192.168.3.0/24"] }),
      ],
      { clusterCidrs },
      { podCidrs: ["192.168.1.0/24"] },
    )
      .filter((line) => line.startsWith("refused"));
  // The route of the segment is longer than that of the cluster's network.
  assertEquals(refused(["192.168.0.0/16"]), [
    `refused Conflict: no path to node "n3": ${far} is in 192.168.0.0/16 of the cluster, and in no network that this node is on: it cannot be reached`,
  ]);
  assertEquals(refused(["192.168.0.0/16"], "192.168.51.0/24"), []);
  assertEquals(refused(["192.168.0.0/19"], "192.168.48.0/22"), []);
  assertEquals(refused([]), []);
});

Deno.test("an order of members is no difference, and 5000 of them take no time to speak of", () => {
  const many = Array.from({ length: 5000 }, (_, i) => ({
    ...member(1, [`10.${100 + (i >> 8)}.${i & 255}.9`]),
    name: `m${i}`,
    podCidrs: [
      `172.${16 + (i >> 8)}.${i & 255}.0/24`,
      `fd01:0:0:${i.toString(16)}::/64`,
    ],
    vxlan: {
      vni: 112,
      port: 8472,
      mac: `02:01:00:00:${(i >> 8).toString(16).padStart(2, "0")}:${
        (i & 255).toString(16).padStart(2, "0")
      }`,
    },
  }));
  const found = plan(DUAL, many);
  assertEquals(plan(DUAL, many.toReversed()), found);
  assertEquals(found.filter((line) => line.startsWith("fdb")).length, 5000);
  assertEquals(found.filter((line) => line.startsWith("refused")), []);
});

Deno.test("ownEndpoint() tells addresses, tunnel and the MTU that pods must have (X6)", () => {
  const mtuOf = (underlay: Underlay, options: PathOptions) =>
    ownEndpoint("n1", underlay, parsePathOptions(options)).podMtu;
  for (const backend of ["auto", "vxlan"] as const) {
    assertEquals(mtuOf(DUAL, { backend }), 1450);
    assertEquals(mtuOf(ONLY(6), { backend }), 1430);
  }
  assertEquals(mtuOf(DUAL, { backend: "host-gw" }), 1500);
  assertEquals(mtuOf(DUAL, { backend: "wireguard" }), 1440);
  assertEquals(mtuOf(ONLY(6), { backend: "wireguard" }), 1420);
  const options = parsePathOptions({ vni: 7, vxlanPort: 4789 });
  const own = ownEndpoint("n1", DUAL, options);
  assertEquals(own.addresses, DUAL.addresses);
  assertEquals(own.vxlan?.vni, 7);
  assertEquals(own.vxlan?.port, 4789);
  // The same for ever, and another for every name.
  assertEquals(own.vxlan?.mac, "02:08:29:1a:5e:95");
  assertEquals(
    ownEndpoint("n2", DUAL, options).vxlan?.mac === own.vxlan?.mac,
    false,
  );
  assertEquals(
    ownEndpoint("n1", DUAL, parsePathOptions({ backend: "host-gw" })).vxlan,
    undefined,
  );
});

/**
 * Whatever somebody does to a node's paths is told, mended, and mended by another process too.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ClusterPaths } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { nodeAt } from "../support/pods.ts";
import { CLUSTER, shown } from "./view.ts";
import { until } from "../support/patience.ts";

let lab: Lab<readonly LabNode[]>;
/** The one that is looked at; the second is behind the router, the third on its segment. */
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab({ nodes: 3, segments: 2, paths: {} });
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

const members = () => lab.nodes.map(({ member }) => member);

const onNode = (line: string) => () => command(node.namespace, line);

interface Disturbance {
  readonly name: string;
  readonly does: () => unknown;
  /** What check() says, one of them. */
  readonly says: RegExp;
}

const DISTURBANCES: readonly Disturbance[] = [
  {
    name: "the tunnel is deleted",
    does: onNode("ip link delete podnet-vx4"),
    says: /^link podnet-vx4 is missing$/,
  },
  {
    name: "the tunnel is down",
    does: onNode("ip link set podnet-vx4 down"),
    says: /^link podnet-vx4 is down$/,
  },
  {
    name: "the tunnel has another MTU",
    does: onNode("ip link set podnet-vx4 mtu 1300"),
    says: /^link podnet-vx4 has MTU 1300, not 1450$/,
  },
  {
    name: "the tunnel has another MAC address",
    does: onNode("ip link set podnet-vx4 address 02:00:00:00:00:99"),
    says: /^link podnet-vx4 has MAC address 02:00:00:00:00:99, not /,
  },
  {
    name: "the tunnel filters by reverse paths",
    does: onNode("echo 1 > /proc/sys/net/ipv4/conf/podnet-vx4/rp_filter"),
    says: /^link podnet-vx4 filters by strict reverse paths$/,
  },
  {
    name: "the tunnel is made by somebody else's wishes",
    does: onNode(
      "ip link delete podnet-vx4; ip link add podnet-vx4 type vxlan id 7 dstport 9999 local 192.168.50.1; ip link set podnet-vx4 alias podnet-path:node-1",
    ),
    says: /^link podnet-vx4 is another tunnel$/,
  },
  {
    name: "the tunnel has another name",
    does: onNode(
      "ip link set podnet-vx4 down; ip link set podnet-vx4 name other up",
    ),
    says: /^link other is none that it should be$/,
  },
  {
    name: "IPv4 routes are flushed",
    does: onNode("ip route flush proto 113"),
    says: /^route 10\.244\.2\.0\/24 via .* is missing$/,
  },
  {
    name: "IPv6 routes are flushed",
    does: onNode("ip -6 route flush proto 113"),
    says: /^route fd00:10:244:3::\/64 via fd50::3 dev eth0 is missing$/,
  },
  {
    name: "pods' own routes are flushed",
    does: onNode("ip route flush table 7113; ip -6 route flush table 7113"),
    says: /^route 192\.168\.51\.2\/32 .* table pods is missing$/,
  },
  {
    name: "a route leads elsewhere",
    does: onNode(
      "ip route replace $(ip route show 10.244.3.0/24 | sed 's/via [^ ]*/via 192.168.50.253/')",
    ),
    says:
      /^route 10\.244\.3\.0\/24 via 192\.168\.50\.3 dev eth0 leads elsewhere$/,
  },
  {
    name: "there is a route too many",
    does: onNode(
      "ip route add 10.244.9.0/24 via 192.168.50.3 proto 113; ip -6 route add default via fd50::3 metric 7 proto 113",
    ),
    says: /^route 10\.244\.9\.0\/24 is none that it should be$/,
  },
  {
    name: "neighbours are flushed",
    does: onNode(
      "ip neighbour flush dev podnet-vx4 nud permanent; ip -6 neighbour flush dev podnet-vx4 nud permanent",
    ),
    says: /^neighbour 10\.244\.2\.1 with .* on podnet-vx4 is missing$/,
  },
  {
    name: "forwarding entries lead elsewhere, and everything goes to somebody",
    does: onNode(
      "bridge fdb replace $(bridge fdb show dev podnet-vx4 | cut -d' ' -f1) dev podnet-vx4 dst 192.168.50.9 self permanent; bridge fdb append 00:00:00:00:00:00 dev podnet-vx4 dst 192.168.50.9 self permanent",
    ),
    says:
      /^forwarding entry of 00:00:00:00:00:00 to 192\.168\.50\.9 on podnet-vx4 is none that it should be$/,
  },
  {
    name: "the address of the tunnel is another",
    does: onNode(
      "ip address flush dev podnet-vx4; ip address add 192.0.2.7/32 dev podnet-vx4",
    ),
    says: /^address 192\.0\.2\.7 of podnet-vx4 is none that it should be$/,
  },
  {
    name: "rules are deleted",
    does: onNode(
      "ip rule delete priority 7113; ip -6 rule delete priority 7113",
    ),
    says: /^rule from 10\.244\.1\.0\/24 is missing$/,
  },
  {
    name: "a rule holds for more than pods",
    does: onNode(
      "ip rule delete priority 7113; ip rule add from 10.244.1.0/24 lookup 7113 priority 7113 protocol 113",
    ),
    says: /^rule from 10\.244\.1\.0\/24 is none that it should be$/,
  },
  {
    name: "the node's gateway address is taken, and the routes with it",
    does: onNode(
      "ip address delete 10.244.1.1/32 dev podnet-vx4; ip address delete 10.244.1.1/32 dev lo",
    ),
    says: /^route 10\.244\.2\.0\/24 .* is missing$/,
  },
  {
    name: "the record of other nodes is gone",
    does: () => Deno.removeSync(recordPath()),
    says: /^record of other nodes is not what was applied$/,
  },
  {
    name: "the record of other nodes is damaged",
    does: () => Deno.writeTextFileSync(recordPath(), "nonsense"),
    says: /^record of other nodes is not what was applied$/,
  },
  {
    name: "everything is gone, as after a reboot",
    does: onNode(
      "ip link delete podnet-vx4; ip route flush proto 113; ip -6 route flush proto 113; ip rule delete priority 7113; ip -6 rule delete priority 7113; nft delete table inet podnet; ip address flush dev lo",
    ),
    says: /^link podnet-vx4 is missing$/,
  },
];

function recordPath(): string {
  const { stateDir, name } = node.node;
  return `${stateDir}/${name}/peers/record.cbor`;
}

for (const { name, does, says } of DISTURBANCES) {
  Deno.test(`check() tells, and repair() mends, when ${name}`, async () => {
    const { paths } = node;
    const before = shown(node);
    assertEquals(await paths.check(), []);
    does();
    const found = (await paths.check()).map(({ object, problem }) =>
      `${object} ${problem}`
    );
    assert(
      found.some((line) => says.test(line)),
      `${says} is not among\n${found.join("\n")}`,
    );
    const { mended, remaining } = await paths.repair();
    assertEquals(remaining, []);
    assertEquals(mended.length, found.length);
    await node.node.repair();
    assertEquals(shown(node), before);
    assertEquals(await paths.check(), []);
    assertEquals(await node.node.check(), []);
  });

  Deno.test(`apply() of another process mends all of it when ${name}`, async () => {
    const before = shown(node);
    does();
    const paths = ClusterPaths.open(node.node, CLUSTER);
    const { changes } = await paths.apply(node.member, members());
    assert(changes.length > 0);
    await node.node.repair();
    assertEquals(shown(node), before);
    assertEquals((await paths.apply(node.member, members())).changes, []);
    assertEquals(await paths.check(), []);
  });
}

Deno.test("watch() tells of what somebody undoes, so that it is mended, and not of what was done by itself", async () => {
  const { paths } = node;
  await paths.repair();
  const before = shown(node);
  let told = 0;
  let mends: Promise<unknown> = Promise.resolve();
  await using _watch = paths.watch(() => {
    told++;
    mends = mends.then(() => paths.repair());
  });
  const [self] = members();
  assert(self !== undefined);
  for (let round = 0; round < 5; round++) {
    await paths.apply(self, [self]);
    await paths.apply(self, members());
  }
  await new Promise((done) => setTimeout(done, 60));
  assertEquals(told, 0);
  for (
    const line of [
      "ip link delete podnet-vx4",
      "ip route flush proto 113",
      "ip -6 route flush proto 113",
      "ip rule delete priority 7113",
      "ip neighbour flush dev podnet-vx4 nud permanent",
      "bridge fdb delete $(bridge fdb show dev podnet-vx4 | cut -d' ' -f1) dev podnet-vx4 self",
      "ip address delete 10.244.1.1/32 dev podnet-vx4",
      "ip address add 192.168.50.88/24 dev eth0",
      "ip address delete 192.168.50.88/24 dev eth0",
      "ip link set eth0 down",
      "ip link set eth0 up",
      "ip address replace fd50::1/64 dev eth0 nodad; ip address replace fe80::1/64 dev eth0 nodad; ip route replace default via 192.168.50.253 proto 112; ip -6 route replace default via fd50::fd proto 112 metric 1024",
    ]
  ) {
    const before = told;
    command(node.namespace, line);
    await until(() => told > before, `nobody was told of: ${line}`);
    await mends;
    await until(async () => (await paths.check()).length === 0, line);
  }
  await mends;
  assertEquals(shown(node), before);
});

/**
 * The kernel is brought to the plan whatever it was like, kept there, and left as it was before.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ClusterPaths, openNode, PathError } from "../../mod.ts";
import { assertThrows } from "@std/assert";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { TestSocket } from "../support/sockets.ts";

let lab: Lab<readonly LabNode[]>;
/** The one that is looked at; the second is behind the router, the third on its segment. */
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab({ nodes: 3, segments: 2, paths: {} });
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

const members = () => lab.nodes.map(({ member }) => member);

/** All that paths are made of, as ip(8), bridge(8) and nft(8) tell it. */
function shown({ namespace }: { readonly namespace: NetworkNamespace }) {
  const link = (line: string) =>
    `! ip link show podnet-vx4 > /dev/null 2>&1 || ${line}`;
  return command(
    namespace,
    [
      "ip -d link show type vxlan | sed 's/^[0-9]*: //'",
      "ip route show",
      "ip -6 route show",
      "ip route show table 7113 2> /dev/null || true",
      "ip -6 route show table 7113 2> /dev/null || true",
      "ip rule show",
      "ip -6 rule show",
      link("ip address show dev podnet-vx4 | grep inet || true"),
      link("ip neighbour show dev podnet-vx4 | sort"),
      link("bridge fdb show dev podnet-vx4 | sort"),
      "for set in peers4 peers6 tunnel_ports tunnel_sources4 tunnelled4; do nft list set inet podnet $set; done",
    ].join("\n"),
  );
}

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
      "ip route replace 10.244.3.0/24 via 192.168.50.253 proto 113 metric 113",
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

const CLUSTER = { clusterCidrs: ["10.244.0.0/16", "fd00:10:244::/48"] };

Deno.test("apply() changes nothing when all is in place, in this process and in another", async () => {
  const before = shown(node);
  assertEquals((await node.paths.apply(node.member, members())).changes, []);
  await using again = await openNode({
    name: node.name,
    stateDir: node.node.stateDir,
    netns: node.namespace,
  });
  const paths = ClusterPaths.open(again, CLUSTER);
  assertEquals(await paths.apply(node.member, members().toReversed()), {
    changes: [],
    refused: [],
  });
  assertEquals(shown(node), before);
});

Deno.test("X7 a member that leaves is forgotten, one that comes is known, and no more is changed; those whose paths stay notice nothing", async () => {
  await using near = await Pod.create(node, { name: "near" });
  await using neighbour = await Pod.create(node, { name: "neighbour" });
  await using third = await Pod.create(nodeAt(lab.nodes, 2), { name: "third" });
  using own = new Conversation(near, neighbour);
  using other = new Conversation(near, third);
  // Other processes were at work, which it need not know.
  await node.paths.repair();
  const before = shown(node);
  const [, second] = members();
  assert(second !== undefined);
  const without = members().filter((one) => one !== second);
  for (let round = 0; round < 3; round++) {
    const left = await node.paths.apply(node.member, without);
    // Nothing leads to a next hop that is forgotten.
    assertEquals(
      left.changes.map((line) => line.split(" ").slice(0, 2).join(" ")),
      [
        "told the",
        ...Array(2).fill("removed rule"),
        ...Array(4).fill("removed route"),
        ...Array(2).fill("removed neighbour"),
        "removed forwarding",
      ],
    );
    // The cluster's addresses that nobody has are answered, and not sent to the outside world.
    assertMatch(
      command(node.namespace, "ip route get 10.244.2.5 2>&1 || true"),
      /unreachable|No route to host/i,
    );
    own.goesOn();
    other.goesOn();
    const back = await node.paths.apply(node.member, members());
    assertEquals(
      back.changes.map((line) => line.split(" ").slice(0, 2).join(" ")),
      [
        "told the",
        "added forwarding",
        ...Array(2).fill("added neighbour"),
        ...Array(4).fill("added route"),
        ...Array(2).fill("added rule"),
      ],
    );
    assertEquals(shown(node), before);
    own.goesOn();
    other.goesOn();
  }
});

Deno.test("a member that changes is followed: its MAC address, its node's address, its pods' network", async () => {
  const before = shown(node);
  const [, second] = members();
  assert(second?.vxlan !== undefined);
  const changed = {
    ...second,
    addresses: ["192.168.51.77", "fd51::77"],
    podCidrs: ["10.244.77.0/24"],
    vxlan: { ...second.vxlan, mac: "02:00:00:00:00:77" },
  };
  const others = members().filter((one) => one !== second);
  await node.paths.apply(node.member, [...others, changed]);
  assertEquals(await node.paths.check(), []);
  const now = shown(node);
  assertMatch(now, /^02:00:00:00:00:77 dst 192\.168\.51\.77 self permanent$/m);
  assertMatch(now, /^10\.244\.77\.0\/24 via 10\.244\.77\.1 dev podnet-vx4 /m);
  assert(!/10\.244\.2\.|fd00:10:244:2::|51\.2\b|fd51::2\b/.test(now), now);
  // On the segment now.
  const moved = { ...second, addresses: ["192.168.50.77"] };
  await node.paths.apply(node.member, [...others, moved]);
  assertEquals(await node.paths.check(), []);
  assertMatch(
    shown(node),
    /^10\.244\.2\.0\/24 via 192\.168\.50\.77 dev eth0 /m,
  );
  await node.paths.apply(node.member, members());
  assertEquals(shown(node), before);
});

Deno.test("what others have made is left alone, the same networks included", async () => {
  const before = shown(node);
  const add = [
    "ip route add 10.244.2.0/24 via 192.168.50.9 metric 500",
    "ip route add 10.244.3.0/24 via 192.168.50.9 metric 50",
    "ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.168.50.1",
    "ip rule add from 10.244.1.0/24 lookup main priority 9000",
  ];
  command(node.namespace, add.join("\n"));
  const theirs = shown(node);
  await node.paths.repair();
  await node.paths.apply(node.member, []);
  await node.paths.apply(node.member, members());
  assertEquals(await node.paths.check(), []);
  assertEquals(shown(node), theirs);
  command(
    node.namespace,
    "ip route delete 10.244.2.0/24 metric 500; ip route delete 10.244.3.0/24 metric 50; ip link delete flannel.1; ip rule delete priority 9000",
  );
  assertEquals(shown(node), before);
});

Deno.test("two processes that apply at the same time come to the same end", async () => {
  const before = shown(node);
  await using again = await openNode({
    name: node.name,
    stateDir: node.node.stateDir,
    netns: node.namespace,
  });
  const other = ClusterPaths.open(again, CLUSTER);
  const [self] = members();
  assert(self !== undefined);
  for (let round = 0; round < 5; round++) {
    await Promise.all([
      node.paths.apply(self, members()),
      other.apply(self, [self]),
      other.apply(self, members()),
      node.paths.apply(self, [self]),
    ]);
    await Promise.all([
      node.paths.apply(self, members()),
      other.apply(self, members()),
    ]);
    await node.paths.repair();
    assertEquals(shown(node), before);
  }
});

Deno.test("remove() leaves nothing, also of an earlier process, and pods of the node as they are", async () => {
  await using near = await Pod.create(node, { name: "near" });
  await using neighbour = await Pod.create(node, { name: "neighbour" });
  using own = new Conversation(near, neighbour);
  const before = shown(node);
  const removed = await ClusterPaths.open(node.node).remove();
  assert(removed.includes("link podnet-vx4"), removed.join("\n"));
  const after = shown(node);
  assert(!/proto 113|podnet-vx|7113|elements/.test(after), after);
  own.goesOn();
  assertEquals(await node.node.check(), []);
  assertEquals(await node.paths.remove(), []);
  await node.paths.apply(node.member, members());
  assertEquals(shown(node), before);
  own.goesOn();
});

Deno.test("a node that is taken down takes its paths along, whoever made them", async () => {
  await using lab = await createLab({ nodes: 2, segments: 2, paths: {} });
  const { node, namespace } = lab.nodes[0];
  const { removed } = await node.remove();
  assert(removed.includes("link podnet-vx4"), removed.join("\n"));
  const left = command(
    namespace,
    "ip route; ip -6 route; ip rule; ip -6 rule; ip link",
  );
  assert(!/proto 113|podnet|7113/.test(left), left);
});

Deno.test("what the handles and watches of other processes put right agrees with what was applied last", async () => {
  const before = shown(node);
  await using again = await openNode({
    name: node.name,
    stateDir: node.node.stateDir,
    netns: node.namespace,
  });
  await using watch = again.watch({ repair: true });
  const events = watch[Symbol.asyncIterator]();
  assertEquals((await events.next()).value?.type, "ready");
  await node.paths.apply(node.member, [node.member]);
  assertEquals(await again.check(), []);
  assert(!/192\.168\.51\.2/.test(shown(node)));
  await node.paths.apply(node.member, members());
  assertEquals(await again.check(), []);
  assertEquals(await again.repair(), { mended: [], remaining: [] });
  // What somebody else does to the sets is undone by the watch.
  command(node.namespace, "nft flush set inet podnet peers4");
  const { value } = await events.next();
  assertEquals(value?.type, "repaired");
  assertEquals(shown(node), before);
  command(node.namespace, "nft delete table inet podnet");
  while (shownOrNothing() !== before) {
    await new Promise((done) => setTimeout(done, 5));
  }
});

function shownOrNothing(): string {
  try {
    return shown(node);
  } catch {
    return "";
  }
}

Deno.test("X8 host-gw refuses a node behind a router by a typed error, and has paths to the others", async () => {
  await using lab = await createLab({
    nodes: 3,
    segments: 2,
    paths: { backend: "host-gw" },
  });
  const [first, second, third] = lab.nodes;
  const members = lab.nodes.map(({ member }) => member);
  const { refused } = await first.paths.apply(first.member, members);
  assertEquals(refused.map(({ code, member }) => [code, member]), [
    ["OffLink", second.name],
  ]);
  assert(refused[0] instanceof PathError);
  await using client = await Pod.create(first);
  await using server = await Pod.create(third);
  using waiting = server.serve("tcp", 4, 80);
  const to = { address: server.address(4), port: 80 };
  assertEquals(typeof ask("tcp", client.namespace, to, [waiting]), "object");
});

Deno.test("a link or tunnel of somebody else's is in the way: a typed error, and it is left as it was", async () => {
  await using lab = await createLab({ nodes: 2, segments: 2, paths: {} });
  const [first] = lab.nodes;
  const members = lab.nodes.map(({ member }) => member);
  for (
    const line of [
      "ip link add podnet-vx4 type bridge",
      "ip link add foreign type vxlan id 112 dstport 8472 local 192.168.50.1",
    ]
  ) {
    await first.paths.remove();
    command(first.namespace, line);
    const before = command(first.namespace, "ip -d link show");
    const error = await assertRejects(
      () => first.paths.apply(first.member, members),
      PathError,
      "somebody else has link podnet-vx4, or a tunnel with identifier 112 and port 8472",
    );
    assertEquals(error.code, "LinkTaken");
    assertEquals(command(first.namespace, "ip -d link show"), before);
    command(first.namespace, `ip link delete ${line.split(" ")[3]}`);
    await first.paths.apply(first.member, members);
    assertEquals(await first.paths.check(), []);
  }
});

Deno.test("wireguard is refused where the kernel has none, and wrong options everywhere", () => {
  const error = assertThrows(() =>
    ClusterPaths.open(node.node, { backend: "wireguard" })
  );
  assert(error instanceof Error);
  assertMatch(error.message, /no WireGuard|wireguard can be planned/);
  assertThrows(
    () =>
      ClusterPaths.open(node.node, {
        vni: 0,
        vxlanPort: 70000,
        clusterCidrs: ["10.0.0.1/8"],
      }),
    Error,
    "vni: write a VXLAN network identifier",
  );
});

/** A TCP connection between two pods, which lives as long as this. */
class Conversation implements Disposable {
  readonly #client: TestSocket;
  readonly #server: TestSocket;
  readonly #listener: TestSocket;

  constructor(client: Pod, server: Pod) {
    const local = { address: server.address(4), port: 7777 };
    this.#listener = TestSocket.open(server.namespace, {
      kind: "tcp",
      family: 4,
      local,
    });
    this.#listener.listen();
    this.#client = TestSocket.open(client.namespace, {
      kind: "tcp",
      family: 4,
    });
    this.#client.connect(local);
    this.#server = this.#listener.accept().socket;
  }

  /** Says something in both directions. */
  goesOn(): void {
    for (
      const [from, to] of [
        [this.#client, this.#server],
        [this.#server, this.#client],
      ] as const
    ) {
      const said = crypto.getRandomValues(new Uint8Array(32));
      from.send(said);
      assertEquals(to.receiveExactly(32), said);
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
    this.#server[Symbol.dispose]();
    this.#listener[Symbol.dispose]();
  }
}

/**
 * Members come, go and change; processes come and go; and the kernel is brought to what follows, or left as it was before.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { ClusterPaths, openNode, PathError } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { CLUSTER, Conversation, shown } from "./view.ts";
import { settled } from "../support/patience.ts";

let lab: Lab<readonly LabNode[]>;
/** The one that is looked at; the second is behind the router, the third on its segment. */
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab({ nodes: 3, segments: 2, paths: {} });
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

const members = () => lab.nodes.map(({ member }) => member);

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

Deno.test("200 members at once, and then one after the other that changes, leaves or comes", async () => {
  const before = shown(node);
  const member = (i: number, version = 0) => ({
    name: `synthetic-${i}`,
    podCidrs: [`10.244.${i + 16}.0/24`, `fd00:10:244:${i + 1000}::/64`],
    addresses: i % 2 === 0
      ? [`192.168.50.${i + 10}`]
      : [`192.168.60.${i}`, `fd60::${version}:${i}`],
    vxlan: { vni: 112, port: 8472, mac: `02:00:00:00:0${version}:${hex(i)}` },
  });
  const hex = (i: number) => i.toString(16).padStart(2, "0");
  const others = new Map(
    Array.from({ length: 200 }, (_, i) => [i, member(i)]),
  );
  const apply = () =>
    node.paths.apply(node.member, [...members(), ...others.values()]);
  const { changes, refused } = await apply();
  assertEquals(refused, []);
  assert(changes.length > 1000);
  assertEquals(await node.paths.check(), []);
  assertEquals(await node.node.check(), []);
  for (let i = 0; i < 200; i += 5) {
    if (i % 3 === 0) others.delete(i);
    else others.set(i, member(i, i % 3));
    if (i % 4 === 0 && others.has(i - 10)) others.set(i - 10, member(i - 10));
    const { changes } = await apply();
    // What is others' is not touched.
    assert(changes.length <= 24, changes.join("\n"));
  }
  assertEquals(await node.paths.check(), []);
  assertEquals(await node.node.check(), []);
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
  assertEquals(await settled(shownOrNothing, before), before);
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

Deno.test("a member whose route the kernel does not take is refused, and keeps nobody else from their paths", async () => {
  const before = shown(node);
  const bad = {
    name: "bad",
    podCidrs: ["10.244.99.0/24"],
    // Of the node's own network: everybody.
    addresses: ["192.168.50.255"],
  };
  const codes = ({ refused }: Awaited<ReturnType<ClusterPaths["apply"]>>) =>
    refused.map(({ code, member }) => [code, member]);
  const refused = [["KernelRefused", "bad"]];
  const others = members().slice(0, 2);
  assertEquals(
    codes(await node.paths.apply(node.member, [bad, ...others])),
    refused,
  );
  // Others come and go meanwhile, also by the eyes of another process.
  const all = [bad, ...members()];
  assertEquals(codes(await node.paths.apply(node.member, all)), refused);
  const paths = ClusterPaths.open(node.node, CLUSTER);
  assertEquals(codes(await paths.apply(node.member, all)), refused);
  assert(shown(node).includes("10.244.3.0/24 via 192.168.50.3 "));
  // One that had a path, and whose new one is not taken, leaves nothing when it goes.
  const good = { ...bad, addresses: ["192.168.50.99"] };
  await node.paths.apply(node.member, [good, ...members()]);
  assertEquals(codes(await node.paths.apply(node.member, all)), refused);
  await node.paths.apply(node.member, members());
  assertEquals(shown(node), before);
  assertEquals(await node.paths.check(), []);
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

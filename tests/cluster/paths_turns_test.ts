/** A pass over a thousand of members takes turns with the rest of the process, which may do anything meanwhile. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClusterPaths, openNode, SandboxError } from "../../mod.ts";
import type { ClusterMember } from "../../src/cluster/member.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { nodeAt } from "../support/pods.ts";

const MEMBERS = 1000;

function synthetic(number: number): ClusterMember {
  const [high, low] = [number >> 8, number & 255];
  const hex = (byte: number) => byte.toString(16).padStart(2, "0");
  return {
    name: `m${String(number).padStart(4, "0")}`,
    podCidrs: [
      `10.${100 + high}.${low}.0/24`,
      `fd01:0:0:${number.toString(16)}::/64`,
    ],
    // Those of the first half are to come within reach.
    addresses: [`172.${number < MEMBERS / 2 ? 16 : 17}.${high}.${low}`],
    vxlan: {
      vni: 112,
      port: 8472,
      mac: `02:01:00:00:${hex(high)}:${hex(low)}`,
    },
  };
}

const ALL = Array.from({ length: MEMBERS }, (_, i) => synthetic(i));

/** A node, what it says of itself, and its paths. */
async function open() {
  const lab = await createLab({ nodes: 1 });
  const node = nodeAt(lab.nodes, 0);
  const self: ClusterMember = {
    name: "self",
    podCidrs: node.node.podCidrs,
    addresses: [node.addresses[0] ?? ""],
    vxlan: { vni: 112, port: 8472, mac: "02:00:00:ff:ff:ff" },
  };
  return {
    node,
    self,
    paths: ClusterPaths.open(node.node),
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  };
}

const turn = () => new Promise((done) => setTimeout(done, 0));

function routes({ namespace }: LabNode): number {
  const lines = "ip route show proto 113; ip route show table 7113";
  const found = command(namespace, `(${lines}) 2> /dev/null | wc -l`);
  return Number(found);
}

/** Until the pass is at the routes. */
async function begun(node: LabNode): Promise<void> {
  while (routes(node) === 0) await turn();
}

Deno.test("a pass lets others have many turns, and a later one that is asked for meanwhile has the last word", async () => {
  await using one = await open();
  const { node, self, paths } = one;
  let turns = 0;
  let isDone = false;
  const first = paths.apply(self, ALL).then(() => isDone = true);
  const second = paths.apply(self, ALL.slice(1));
  for (; !isDone; turns++) await turn();
  await first;
  assert(turns > 10, `${turns} turns`);
  const { changes, refused } = await second;
  // No more than what the one member had.
  assert(changes.length < 10, changes.join("\n"));
  assertEquals(refused, []);
  assertEquals(routes(node), 2 * (MEMBERS - 1));
  assertEquals(await paths.check(), []);
});

Deno.test("what others undo during a pass is mended by the next look", async () => {
  await using one = await open();
  const { node, self, paths } = one;
  const pass = paths.apply(self, ALL);
  await begun(node);
  command(
    node.namespace,
    "ip route flush proto 113; ip rule add from 10.9.0.0/24 lookup 7113 priority 7113 protocol 113",
  );
  await pass;
  await paths.repair();
  assertEquals(await paths.check(), []);
  assertEquals(routes(node), 2 * MEMBERS);
});

Deno.test("a tunnel that others delete during a pass is made again by the same pass", async () => {
  await using one = await open();
  const { node, self, paths } = one;
  const pass = paths.apply(self, ALL);
  await begun(node);
  command(node.namespace, "ip link delete podnet-vx4");
  await pass;
  assertEquals(await paths.check(), []);
  assertEquals(routes(node), 2 * MEMBERS);
});

Deno.test("a network that the node comes into during a pass counts for the same pass", async () => {
  await using one = await open();
  const { node, self, paths } = one;
  const pass = paths.apply(self, ALL);
  await begun(node);
  command(node.namespace, "ip address add 172.16.255.1/16 dev eth0");
  await pass;
  assertEquals(await paths.check(), []);
  // Nobody there needs a way of its own for pods.
  assertEquals(routes(node), MEMBERS + MEMBERS / 2);
});

Deno.test("a node that is removed during a pass stays removed, and all paths with it", async () => {
  await using one = await open();
  const { node, self, paths } = one;
  const pass = paths.apply(self, ALL);
  const refused = assertRejects(() => pass, SandboxError);
  await begun(node);
  await node.node.remove();
  assertEquals((await refused).code, "NodeNotFound");
  assertEquals(routes(node), 0);
  assertEquals(
    command(
      node.namespace,
      "ip link show type vxlan; ip rule show priority 7113; nft list tables",
    ),
    "",
  );
});

Deno.test("a node that is closed during a pass ends it, and another process goes on from there", async () => {
  await using one = await open();
  const { node, self, paths } = one;
  const pass = paths.apply(self, ALL);
  const ended = assertRejects(() => pass);
  await begun(node);
  const { name, stateDir } = node.node;
  await node.node[Symbol.asyncDispose]();
  await ended;
  assert(routes(node) < 2 * MEMBERS);
  await using again = await openNode({
    name,
    stateDir,
    netns: node.namespace,
  });
  const others = ClusterPaths.open(again);
  await others.apply(self, ALL);
  assertEquals(await others.check(), []);
  assertEquals(routes(node), 2 * MEMBERS);
});

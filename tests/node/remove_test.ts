/**
 * What taking a node down leaves: nothing.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { NetworkNamespace, removeNode } from "../../mod.ts";
import { readSysctl } from "../../src/namespace/sysctl.ts";
import { command } from "../support/command.ts";
import { BareNode, rejects } from "./bare.ts";

for (
  const [how, remove] of [
    ["Node.remove()", async (bare: BareNode) => {
      await using node = await bare.open({});
      return await node.remove();
    }],
    ["removeNode()", (bare: BareNode) => removeNode(bare.reference)],
  ] as const
) {
  Deno.test(`${how} leaves the namespace, mounts and files as they were, forwarding excepted`, async () => {
    await using bare = new BareNode();
    // Things of somebody else, which stay.
    for (
      const line of [
        "ip link add other0 type veth peer name other1",
        "ip link set other0 addrgenmode none up",
        "ip link set other1 addrgenmode none up",
        "ip addr add 192.0.2.1/24 dev other0",
        "ip addr add 10.88.0.9/32 dev lo",
        "ip route add 198.51.100.0/24 dev other0",
        "nft add table inet other",
        "nft add chain inet other forward",
      ]
    ) command(bare.namespace, line);
    const before = bare.state();
    {
      await using node = await bare.open();
      const sandbox = await node.createSandbox({
        name: "web",
        ports: [{ hostPort: 8080, containerPort: 80 }],
      });
      await sandbox.remove({ force: true });
    }
    assertEquals(await remove(bare), {
      removed: [
        "nf_tables table inet podnet",
        "address 10.99.0.1/32 of lo",
        "address fd00:10:99::1/128 of lo",
        "route unreachable 10.99.0.0/24",
        "route unreachable fd00:10:99::/64",
      ],
    });
    assertEquals(bare.state(), before);
    assertEquals(readSysctl(bare.namespace, "net.ipv4.ip_forward"), "1");
    assertEquals(await removeNode(bare.reference), { removed: [] });
  });
}

Deno.test("Node.remove() refuses while there are sandboxes, and takes them along when forced", async () => {
  await using bare = new BareNode();
  const before = bare.state();
  await using node = await bare.open();
  const { id } = await node.createSandbox({
    name: "web",
    containers: [{ name: "app" }],
  });
  const state = bare.state();
  for (
    const refused of [() => node.remove(), () => removeNode(bare.reference)]
  ) {
    const error = await rejects("NodeConflict", refused);
    assertMatch(error.context.reason, /^it has 1 sandbox:/);
  }
  assertEquals(bare.state(), state);
  const { removed } = await node.remove({ force: true });
  assertEquals(removed[0], `sandbox ${id}`);
  assertEquals(removed.length, 6);
  assertEquals(bare.state(), before);
});

Deno.test("Node.remove() takes nothing that is another node's by now", async () => {
  await using bare = new BareNode();
  await using stale = await bare.open();
  command(bare.namespace, "nft delete table inet podnet");
  await using other = new BareNode();
  const { namespace: netns } = bare;
  await using owner = await other.open({
    netns,
    name: "owner",
    podCidrs: ["10.99.0.0/24"],
  });
  await stale.remove();
  assertEquals(await owner.check(), []);
  await owner.remove();
});

Deno.test("a node that was taken down is NodeNotFound to those who still have it open, and can be opened anew", async () => {
  await using bare = new BareNode();
  await using stale = await bare.open();
  await removeNode(bare.reference);
  const state = bare.state();
  for (
    const call of [
      () => stale.createSandbox({ name: "web" }),
      () => stale.check(),
      () => stale.repair(),
      () => stale.collectGarbage(),
    ]
  ) await rejects("NodeNotFound", call);
  assertEquals(await stale.listSandboxes(), []);
  assertEquals(await stale.removeSandbox("web"), false);
  assertEquals(bare.state(), state);

  await using _other = await bare.open({ podCidrs: ["10.98.0.0/24"] });
  await rejects("NodeConflict", () => stale.createSandbox({ name: "web" }));
});

Deno.test("removeNode() with force forgets a node whose namespace is gone", async () => {
  await using bare = new BareNode();
  {
    await using gone = new BareNode();
    await using node = await bare.open({
      netns: gone.namespace,
      podCidrs: ["10.99.0.0/24"],
    });
    await node.createSandbox({ name: "web" });
  }
  await rejects("NodeConflict", () => removeNode(bare.reference));
  const { removed } = await removeNode({ ...bare.reference, force: true });
  assertEquals(removed.length, 2);
  assertEquals([...Deno.readDirSync(bare.stateDir)], []);
});

Deno.test("Node.remove() with force lets others work meanwhile, and deletes links whose namespace somebody holds", async () => {
  await using bare = new BareNode();
  const before = bare.state();
  await using node = await bare.open();
  const sandboxes = [];
  for (let i = 0; i < 60; i++) {
    sandboxes.push(await node.createSandbox({ name: `pod-${i}` }));
  }
  using held = new DisposableStack();
  for (const { netnsPath } of sandboxes.slice(0, 3)) {
    held.use(NetworkNamespace.open(netnsPath));
  }
  const seen = new Set<number>();
  const look = setInterval(() => {
    seen.add([...Deno.readDirSync(`${bare.stateDir}/bare/sandboxes`)].length);
  }, 0);
  const removed = node.remove({ force: true });
  await removed.finally(() => clearInterval(look));
  assert(
    seen.values().some((count) => 0 < count && count < sandboxes.length),
    [...seen].join(),
  );
  assertEquals(bare.state(), before);
});

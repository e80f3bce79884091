/**
 * What taking a node down leaves: nothing.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { NetworkNamespace, openNode, removeNode } from "../../mod.ts";
import { readSysctl } from "../../src/namespace/sysctl.ts";
import { digest } from "../../src/sandbox/records/digest.ts";
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

Deno.test("removeNode() takes a node down whose IPv6 was switched off, or whose table is gone, with pods in namespaces of others", async () => {
  for (
    const line of [
      "sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
      "nft delete table inet podnet",
      "nft delete table inet podnet; sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
    ]
  ) {
    await using bare = new BareNode();
    using adopted = NetworkNamespace.create();
    {
      await using node = await bare.open();
      await node.createSandbox({
        name: "own",
        ports: [{ hostPort: 8080, containerPort: 80 }],
      });
      await node.createSandbox({
        name: "adopted",
        netns: `/proc/${Deno.pid}/fd/${adopted.fd}`,
      });
    }
    command(bare.namespace, line);
    await rejects("NodeConflict", () => removeNode(bare.reference));
    await removeNode({ ...bare.reference, force: true });
    assertNothingLeft(bare);
  }
});

Deno.test("a node is the same however the path of its state directory is written", async () => {
  await using bare = new BareNode();
  const parent = Deno.makeTempDirSync({ prefix: "podnet-node-" });
  Deno.symlinkSync("/tmp", `${parent}/link`);
  try {
    const written = bare.stateDir.replace(/^\/tmp/, `${parent}/link/../tmp/.`)
      .replaceAll("/", "//");
    const reference = { ...bare.reference, stateDir: written };
    {
      await using node = await bare.open();
      await node.createSandbox({ name: "web" });
      await using same = await openNode(reference);
      assertEquals(same.changes, []);
      assertEquals(await same.check(), []);
    }
    await rejects("NodeConflict", () => removeNode(reference));
    await removeNode({ ...reference, force: true });
    assertNothingLeft(bare);
  } finally {
    Deno.removeSync(parent, { recursive: true });
  }
});

Deno.test("a table is recognised that was signed for the path as it was written, and signed anew", async () => {
  await using bare = new BareNode();
  const stateDir = `/${bare.stateDir}`;
  const reference = { ...bare.reference, stateDir };
  await using _first = await bare.open();
  const sign = (path: string) => {
    const comment = `node bare state ${digest(path).subarray(0, 6).toHex()}`;
    command(
      bare.namespace,
      `nft delete table inet podnet
      nft 'add table inet podnet { comment "${comment} rules 0"; }'`,
    );
    return comment;
  };
  sign(stateDir);
  await using again = await openNode(reference);
  assertEquals(again.changes, [
    "renewed the rules of nf_tables table inet podnet",
  ]);
  await using _plain = await bare.open({});
  // Not by any other path: of that, it may be another node.
  const comment = sign("/elsewhere");
  const error = await rejects(
    "NodeConflict",
    () => removeNode({ ...reference, force: true }),
  );
  assertMatch(error.context.reason, /of another state directory: take that/);
  assert(
    command(bare.namespace, "nft list table inet podnet").includes(comment),
  );
  command(bare.namespace, "nft delete table inet podnet");
});

Deno.test("removeNode() with force of a node with a damaged record leaves what another node has there by now", async () => {
  await using bare = new BareNode();
  {
    await using _node = await bare.open();
  }
  command(bare.namespace, "nft delete table inet podnet");
  Deno.writeTextFileSync(`${bare.stateDir}/bare/node.cbor`, "no record");
  await using other = new BareNode();
  const { namespace: netns } = bare;
  await using owner = await other.open({ netns, name: "owner", podCidrs: [] });
  await owner.createSandbox({
    name: "bridged",
    attachment: { type: "none" },
    interfaces: [{
      name: "eth0",
      attachment: {
        type: "bridge",
        bridge: "br0",
        ranges: [{ network: "192.0.2.0/24" }],
      },
    }],
  });
  const { removed } = await removeNode({ ...bare.reference, force: true });
  assertEquals(removed.length, 2, removed.join());
  assertEquals(await owner.check(), []);
  await owner.remove({ force: true });
});

/** Of a node that was set up in it: no link, address, route, table or file. */
function assertNothingLeft({ namespace, stateDir }: BareNode): void {
  assertEquals(
    command(namespace, "ip -br link").trim().split("\n").length,
    1,
  );
  assertEquals(command(namespace, "ip route show table all proto 112"), "");
  assertEquals(command(namespace, "ip -6 route show table all proto 112"), "");
  assertEquals(command(namespace, "nft list ruleset"), "");
  const addresses = command(namespace, "ip -br addr show lo");
  assert(!/10\.99|fd00/.test(addresses), addresses);
  assertEquals([...Deno.readDirSync(stateDir)], []);
}

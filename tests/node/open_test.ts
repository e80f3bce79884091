/**
 * What opening a node does, what it keeps, and what it refuses.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { NetworkNamespace, type NodeOptions, openNode } from "../../mod.ts";
import { isLocal } from "../../src/attachment/address_claims.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { loopbackUp } from "../namespace/helpers.ts";
import { command, ipLinks } from "../support/command.ts";
import {
  BareNode,
  POD_CIDRS,
  rejects,
  resultOf,
  spawnFixture,
} from "./bare.ts";

const CHANGES = [
  "added nf_tables table inet podnet",
  "set net.ipv4.ip_forward to 1",
  "set net.ipv6.conf.all.forwarding to 1",
  "added 10.99.0.1/32 to lo",
  "added fd00:10:99::1/128 to lo",
  "added route unreachable 10.99.0.0/24",
  "added route unreachable fd00:10:99::/64",
];

Deno.test("openNode() tells what it changed, and changes nothing the second time", async () => {
  await using bare = new BareNode();
  await using first = await bare.open();
  assertEquals([...first.changes], CHANGES);
  const state = bare.state();
  await using second = await bare.open();
  assertEquals([...second.changes], []);
  await using third = await bare.open({});
  assertEquals([...third.changes], []);
  assertEquals(bare.state(), state);
  assertEquals(third.podCidrs, POD_CIDRS);
  assertEquals(third.gateways, ["10.99.0.1", "fd00:10:99::1"]);
  assertEquals(third.netnsId, bare.namespace.id);
  assertEquals(await third.check(), []);
});

Deno.test("packets reach the gateways as soon as openNode() returns", async () => {
  for (let round = 0; round < 20; round++) {
    await using bare = new BareNode();
    using route = bare.namespace.run(() => Connection.open(NETLINK_ROUTE));
    await using node = await bare.open();
    for (const gateway of node.gateways) {
      assert(isLocal(route, IpAddress.parse(gateway)), gateway);
    }
  }
});

Deno.test("openNode() sets lo up in a namespace that was just made", async () => {
  await using bare = new BareNode(() => {});
  await using node = await bare.open();
  assertEquals([...node.changes].sort(), [...CHANGES, "set lo up"].sort());
  assertEquals(ipLinks(bare.namespace, "lo")[0]?.flags.includes("UP"), true);
  assertEquals(await node.check(), []);
});

Deno.test("openNode() of one family touches nothing of the other", async () => {
  await using bare = new BareNode();
  await using node = await bare.open({ podCidrs: ["10.99.0.0/24"] });
  assertEquals(
    [...node.changes],
    CHANGES.filter((text) => !/ipv6|fd00/.test(text)),
  );
  const forwarding = command(
    bare.namespace,
    "sysctl -n net.ipv6.conf.all.forwarding",
  );
  assertEquals(forwarding.trim(), "0");
});

Deno.test("several nodes in one process share nothing", async () => {
  await using one = new BareNode();
  await using two = new BareNode();
  await using a = await one.open();
  await using b = await two.open();
  const before = two.state();
  const sandbox = await a.createSandbox({
    name: "web",
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  assertEquals(two.state().replace(/^.*nsfs.*\n/gm, ""), before);
  assertEquals((await b.listSandboxes()).length, 0);
  const same = await b.createSandbox({
    name: "web",
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  assertEquals(same.addresses, sandbox.addresses);
  await a.remove({ force: true });
  assertEquals(await b.check(), []);
  assertEquals((await b.listSandboxes()).length, 1);
});

Deno.test("openNode() keeps the settings of the first time", async () => {
  await using bare = new BareNode();
  const settings = {
    podCidrs: ["10.99.0.0/24"],
    masquerade: false,
    nonMasqueradeCidrs: ["192.0.2.0/24"],
    mtu: 1400,
  };
  await using _first = await bare.open(settings);
  await using node = await bare.open({});
  const { podCidrs, masquerade, nonMasqueradeCidrs, mtu } = node;
  assertEquals({ podCidrs, masquerade, nonMasqueradeCidrs, mtu }, settings);
  const state = bare.state();
  for (
    const [key, other, label] of [
      ["podCidrs", ["10.98.0.0/24"], "pod CIDRs (10.99.0.0/24, "],
      ["podCidrs", POD_CIDRS, "pod CIDRs (10.99.0.0/24, "],
      ["masquerade", true, "masquerading (false, requested true)"],
      ["nonMasqueradeCidrs", [], "networks that are not masqueraded "],
      ["mtu", 1500, "MTU (1400, requested 1500)"],
      ["maxConnectionsPerPod", 640, "connections per pod (65536, "],
    ] as const
  ) {
    const error = await rejects(
      "NodeConflict",
      () => bare.open({ [key]: other }),
    );
    assertEquals(error.context.name, "bare");
    assertStringIncludes(error.context.reason, `it differs in ${label}`);
  }
  assertEquals(bare.state(), state);
});

Deno.test("openNode() of a node that was never opened, without pod CIDRs, is NodeNotFound and makes nothing", async () => {
  await using bare = new BareNode();
  const state = bare.state();
  const error = await rejects("NodeNotFound", () => bare.open({}));
  assertEquals(error.context, { name: "bare", stateDir: bare.stateDir });
  assertEquals(bare.state(), state);
});

Deno.test("a node that was given pod CIDRs since it was opened has to be opened again", async () => {
  await using bare = new BareNode();
  await using early = await bare.open({ podCidrs: [] });
  await using _node = await bare.open();
  await rejects("NodeConflict", () => early.createSandbox({ name: "web" }));
});

Deno.test("openNode() refuses another namespace than the node's", async () => {
  await using bare = new BareNode();
  await using _node = await bare.open();
  using other = NetworkNamespace.create(loopbackUp);
  const error = await rejects(
    "NodeConflict",
    () => bare.open({ netns: other }),
  );
  assertMatch(
    error.context.reason,
    new RegExp(`${bare.namespace.id.slice(5, -1)}`),
  );
  assertMatch(error.context.reason, new RegExp(`${other.id.slice(5, -1)}`));
  assertEquals(command(other, "nft list ruleset"), "");
  assertEquals(await _node.check(), []);
});

Deno.test("openNode() refuses a namespace in which somebody else has the table, and leaves everything", async () => {
  await using bare = new BareNode();
  await using other = new BareNode();
  command(bare.namespace, "nft add table inet podnet");
  const state = bare.state();
  const foreign = await rejects("NodeConflict", () => bare.open());
  assertMatch(foreign.context.reason, /somebody else/);
  assertEquals(bare.state(), state);
  command(bare.namespace, "nft delete table inet podnet");

  await using node = await bare.open();
  const ofNode = bare.state();
  const { namespace: netns } = bare;
  const second = await rejects(
    "NodeConflict",
    () => other.open({ name: "second", netns, podCidrs: ["10.98.0.0/24"] }),
  );
  assertMatch(second.context.reason, /node "bare"/);
  const elsewhere = await rejects(
    "NodeConflict",
    () => other.open({ netns, podCidrs: POD_CIDRS }),
  );
  assertMatch(elsewhere.context.reason, /another state directory/);
  assertEquals(bare.state(), ofNode);
  assertEquals([...Deno.readDirSync(other.stateDir)], []);
  assertEquals(await node.check(), []);
});

Deno.test("openNode() refuses IPv6 pods where IPv6 is switched off, and leaves everything", async () => {
  await using bare = new BareNode();
  const off = (value: number) =>
    command(
      bare.namespace,
      `sysctl -q -w net.ipv6.conf.default.disable_ipv6=${value}`,
    );
  off(1);
  const state = bare.state();
  const error = await rejects("NodeConflict", () => bare.open());
  assertMatch(error.context.reason, /net\.ipv6\.conf\.default\.disable_ipv6/);
  assertEquals(bare.state(), state);
  off(0);
  await using node = await bare.open();
  assertEquals(await node.check(), []);
});

/** A process that stays in the namespace. */
function sleeper(
  namespace: NetworkNamespace,
): AsyncDisposable & { readonly pid: number } {
  const child = namespace.run(() =>
    new Deno.Command("sleep", { args: ["60"], stdin: "null" }).spawn()
  );
  return {
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

Deno.test("openNode() takes a namespace as object, path, process id, name of ip netns, or its own", async () => {
  await using bare = new BareNode();
  const name = `podnet-${crypto.randomUUID().slice(0, 8)}`;
  const pin = `/run/netns/${name}`;
  bare.namespace.pin(pin);
  try {
    await using process = sleeper(bare.namespace);
    await using first = await bare.open();
    assertEquals(first.netnsId, bare.namespace.id);
    const references: Required<NodeOptions>["netns"][] = [
      pin,
      bare.path,
      name,
      process.pid,
    ];
    for (const netns of references) {
      await using node = await bare.open({ netns });
      assertEquals(node.netnsId, bare.namespace.id, String(netns));
      assertEquals([...node.changes], []);
    }
    assert(!bare.namespace.run(() => false));
    assertEquals(
      command(bare.namespace, `ip netns identify ${process.pid}`).trim(),
      name,
    );
  } finally {
    NetworkNamespace.unpin(pin);
  }
  using own = NetworkNamespace.current();
  await using other = new BareNode();
  const { name: node, stateDir } = other.reference;
  const error = await rejects(
    "NodeNotFound",
    () =>
      openNode({ name: node, ...stateDir === undefined ? {} : { stateDir } }),
  );
  assertEquals(error.context.name, node);
  assert(own.id !== other.namespace.id);
});

Deno.test("openNode() refuses what is no namespace with InvalidNamespace, naming it", async () => {
  await using bare = new BareNode();
  const state = bare.state();
  for (
    const [netns, path] of [
      ["/etc/passwd", "/etc/passwd"],
      ["/proc/self/ns/mnt", "/proc/self/ns/mnt"],
      ["/nonexistent/netns", "/nonexistent/netns"],
      ["no-such-name", "/run/netns/no-such-name"],
      [2 ** 22 + 1, `/proc/${2 ** 22 + 1}/ns/net`],
    ] as const
  ) {
    const error = await rejects(
      "InvalidNamespace",
      () => bare.open({ netns, podCidrs: POD_CIDRS }),
    );
    assertEquals(error.context.path, path);
  }
  assertEquals(bare.state(), state);
});

Deno.test("openNode() of options that are none, or cannot be read, is InvalidSpec", async () => {
  for (
    const options of [null, "node", [], {
      get name(): string {
        throw new Deno.errors.Busy("of the caller's own");
      },
    }]
  ) {
    const error = await rejects(
      "InvalidSpec",
      () => openNode(options as NodeOptions),
    );
    assertEquals(error.context.problems[0]?.path, "");
  }
});

Deno.test("openNode() by eight processes at once makes one node, each part of it once", async () => {
  await using bare = new BareNode();
  const url = new URL("./fixtures/open.ts", import.meta.url);
  const changes = await Promise.all(
    Array.from(
      { length: 8 },
      () =>
        resultOf(spawnFixture(url, [bare.path, bare.stateDir, ...POD_CIDRS])),
    ),
  );
  assertEquals(changes.flat().sort(), [...CHANGES].sort());
  await using node = await bare.open();
  assertEquals([...node.changes], []);
  assertEquals(await node.check(), []);
});

Deno.test("a process that opens a node and makes a sandbox needs no timers, which are part of the runtime's Node modules and take 4 ms to load", async () => {
  await using bare = new BareNode();
  await (await bare.open())[Symbol.asyncDispose]();
  const url = new URL("./fixtures/touched_globals.ts", import.meta.url);
  const { stdout, stderr } = await spawnFixture(
    url,
    [bare.path, bare.stateDir],
    { permissions: ["--allow-ffi", "--allow-read"] },
  ).output();
  const decoder = new TextDecoder();
  assertEquals(decoder.decode(stdout), "[]\n", decoder.decode(stderr));
});

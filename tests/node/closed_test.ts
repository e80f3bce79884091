/**
 * What is asked of a node that was closed, and of its sandboxes.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Node, Sandbox, WatchOptions } from "../../mod.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { BareNode, rejects, resultOf, spawnFixture } from "./bare.ts";

const NETWORK = { conflist: { name: "n", plugins: [{ type: "ptp" }] } };
const MACVLAN = {
  name: "net1",
  attachment: { type: "macvlan", parent: "eth9" },
} as const;

/** Every operation of a node, by its name. */
const OF_A_NODE: {
  readonly [name in keyof Node]?: (node: Node) => unknown;
} = {
  createSandbox: (node) => node.createSandbox({ name: "b" }),
  openSandbox: (node) => node.openSandbox("a"),
  listSandboxes: (node) => node.listSandboxes(),
  removeSandbox: (node) => node.removeSandbox("a"),
  freeAddresses: (node) => node.freeAddresses(),
  check: (node) => node.check(),
  repair: (node) => node.repair(),
  collectGarbage: (node) => node.collectGarbage(),
  networkStatus: (node) => node.networkStatus(NETWORK),
  collectNetworkGarbage: (node) => node.collectNetworkGarbage(NETWORK),
  watch: (node) => node.watch(),
  remove: (node) => node.remove({ force: true }),
};

/** Every operation of a sandbox that its node has a part in. */
const OF_A_SANDBOX: {
  readonly [name in keyof Sandbox]?: (sandbox: Sandbox) => unknown;
} = {
  addContainer: (sandbox) => sandbox.addContainer({ name: "c" }),
  removeContainer: (sandbox) => sandbox.removeContainer("c"),
  addPorts: (sandbox) =>
    sandbox.addPorts([{ hostPort: 8080, containerPort: 80 }]),
  removePorts: (sandbox) =>
    sandbox.removePorts([{ hostPort: 8080, containerPort: 80 }]),
  check: (sandbox) => sandbox.check(),
  attach: (sandbox) => sandbox.attach(MACVLAN),
  detach: (sandbox) => sandbox.detach("net1"),
  checkAttachment: (sandbox) => sandbox.checkAttachment("net1"),
  setBandwidth: (sandbox) => sandbox.setBandwidth({}),
  remove: (sandbox) => sandbox.remove(),
};

/** Those that need no node: what is inside the pod's namespace, and what is known. */
const WITHOUT_A_NODE: readonly string[] = [
  "constructor",
  "ociNamespace",
  "listen",
  "serve",
  "connect",
  "spawn",
  "worker",
  "toJSON",
];

function methodsOf(thing: Node | Sandbox): string[] {
  const all = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(thing));
  return Object.entries(all)
    .filter(([, { value }]) => typeof value === "function")
    .map(([name]) => name)
    .filter((name) => !WITHOUT_A_NODE.includes(name)).sort();
}

Deno.test("every operation of a node that was closed, and of its sandboxes, fails with NodeClosed and changes nothing", async () => {
  await using bare = new BareNode();
  const node = await bare.open();
  const sandbox = await node.createSandbox({ name: "a" });
  assertEquals(methodsOf(node), Object.keys(OF_A_NODE).sort());
  assertEquals(methodsOf(sandbox), Object.keys(OF_A_SANDBOX).sort());
  await node[Symbol.asyncDispose]();
  const before = bare.state();
  const calls = [
    ...Object.values(OF_A_NODE).map((call) => () => call(node)),
    ...Object.values(OF_A_SANDBOX).map((call) => () => call(sandbox)),
  ];
  for (const call of calls) {
    const { context } = await rejects("NodeClosed", async () => await call());
    assertEquals(context, { name: "bare" });
  }
  assertEquals(bare.state(), before);
  // What needs no node goes on.
  assertEquals(node.name, "bare");
  assertEquals(node.podCidrs.length, 2);
  assertEquals(sandbox.toJSON().id, sandbox.id);
  assertEquals(sandbox.sysctl.get("net.ipv4.ip_forward"), "0");
  await sandbox[Symbol.asyncDispose]();
  // Closing it again does nothing.
  await node[Symbol.asyncDispose]();
});

/** Ways to watch, neither of which looks by itself at whether the node is closed. */
const WATCHES: readonly [string, WatchOptions][] = [
  ["a watch", {}],
  ["a watch that repairs", { repair: true, pollMs: 0 }],
];

for (const [name, options] of WATCHES) {
  Deno.test(`${name} ends at once with NodeClosed when its node is closed, and is done then`, async () => {
    await using bare = new BareNode();
    const node = await bare.open();
    const waiting = node.watch(options);
    const waited = rejects("NodeClosed", async () => {
      for await (const _ of waiting);
    });
    // As long as it is loaded, and when it has looked at everything.
    const unread = [node.watch(options), node.watch(options)];
    if (options.repair) {
      assertEquals((await unread[0]?.next())?.value?.type, "ready");
    }
    const late = node.watch(options);
    await node[Symbol.asyncDispose]();
    await waited;
    for (const watch of [...unread, late]) {
      await rejects("NodeClosed", async () => {
        for await (const _ of watch);
      });
      assertEquals((await watch.next()).done, true);
    }
    assertEquals((await waiting.next()).done, true);
  });

  Deno.test(`${name} that was disposed before its node is closed is done`, async () => {
    await using bare = new BareNode();
    const node = await bare.open();
    const watch = node.watch(options);
    const waiting = watch.next();
    const idle = node.watch(options);
    const disposed = [watch, idle].map((watch) => watch[Symbol.asyncDispose]());
    await node[Symbol.asyncDispose]();
    await Promise.all(disposed);
    assertEquals((await waiting).done, true);
    assertEquals((await watch.next()).done, true);
    assertEquals((await idle.next()).done, true);
  });

  Deno.test(`${name} that is left while somebody waits for its next event is done`, async () => {
    await using bare = new BareNode();
    await using node = await bare.open();
    const watch = node.watch(options);
    const waiting = watch.next();
    assertEquals((await watch.return?.())?.done, true);
    assertEquals((await waiting).done, true);
    assertEquals((await watch.next()).done, true);
  });
}

Deno.test("a process ends by itself when the node that it watches is closed, although nobody reads", async () => {
  await using bare = new BareNode();
  await using _node = await bare.open();
  const url = new URL("./fixtures/closed_watches.ts", import.meta.url);
  const child = spawnFixture(url, [bare.path, bare.stateDir]);
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  try {
    assertEquals(await resultOf(child), "closed");
  } finally {
    clearTimeout(timer);
  }
});

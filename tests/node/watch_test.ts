/**
 * What a watcher of a node hears.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { NodeEvent, NodeWatch, Sandbox } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";
import { command } from "../support/command.ts";
import { linksSettled } from "../support/node_state.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { BareNode, resultOf, spawnFixture } from "./bare.ts";

let lab: Lab;
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

// What an earlier test removed must not be heard going in the next.
Deno.test.beforeEach(() => linksSettled(node));

async function next(watch: NodeWatch): Promise<NodeEvent> {
  const { value, done } = await watch.next();
  assert(!done);
  return value;
}

async function assertNext(
  watch: NodeWatch,
  type: string,
  { id, hostInterface }: Sandbox,
): Promise<void> {
  const { time, ...event } = await next(watch);
  assertEquals(event, { type, id, hostInterface } as typeof event);
  assertMatch(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert(Math.abs(Date.now() - Date.parse(time)) < 60_000);
}

Deno.test("watch() tells of sandboxes that come, go up and down, and go; and of no other link", async () => {
  // What is there already is not told.
  const old = await node.node.createSandbox({ name: "old" });
  await using watch = node.node.watch();
  command(node.namespace, "ip link add other0 type veth peer name other1");
  const sandbox = await node.node.createSandbox({ name: "new" });
  await assertNext(watch, "created", sandbox);
  await assertNext(watch, "up", sandbox);
  for (const [way, event] of [["down", "down"], ["up", "up"]] as const) {
    command(node.namespace, `ip link set ${sandbox.hostInterface} ${way}`);
    await assertNext(watch, event, sandbox);
    command(node.namespace, `ip link set ${old.hostInterface} ${way}`);
    await assertNext(watch, event, old);
  }
  command(node.namespace, "ip link del other0");
  await sandbox.remove();
  for (;;) {
    const event = await next(watch);
    if (event.type === "removed") {
      assertEquals(event.id, sandbox.id);
      break;
    }
    assertEquals(event.type, "down");
  }
  await old.remove();
});

Deno.test("watch() ends when it is disposed, when its loop is left, and while somebody waits", async () => {
  await using idle = node.node.watch();
  const waiting = idle.next();
  await idle[Symbol.asyncDispose]();
  assertEquals((await waiting).done, true);
  assertEquals((await idle.next()).done, true);

  const watch = node.node.watch();
  const sandbox = await node.node.createSandbox({ name: "left" });
  for await (const event of watch) {
    assertEquals(event.type, "created");
    break;
  }
  assertEquals((await watch.next()).done, true);
  await sandbox.remove();
});

Deno.test("several watchers of a node each hear everything", async () => {
  await using one = node.node.watch();
  await using two = node.node.watch();
  const sandbox = await node.node.createSandbox({ name: "both" });
  for (const watch of [one, two]) {
    await assertNext(watch, "created", sandbox);
    await assertNext(watch, "up", sandbox);
  }
  await sandbox.remove();
});

Deno.test("a process whose watch is closed ends by itself, and other processes' sandboxes are heard of", async () => {
  await using bare = new BareNode();
  await using opened = await bare.open();
  await using watch = opened.watch();
  const url = new URL("./fixtures/watch.ts", import.meta.url);
  const child = spawnFixture(url, [bare.path, bare.stateDir]);
  assertEquals(await resultOf(child), "created");
  assertEquals((await next(watch)).type, "created");
});

Deno.test("a process may have many watches: they do not keep the runtime's threads from other work", async () => {
  await using bare = new BareNode();
  await using _opened = await bare.open();
  const url = new URL("./fixtures/many_watches.ts", import.meta.url);
  const permissions = ["--allow-ffi", "--allow-read"];
  const child = spawnFixture(url, [bare.path, bare.stateDir], { permissions });
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  try {
    assertEquals(await resultOf(child), { read: true, heard: [80] });
  } finally {
    clearTimeout(timer);
  }
});

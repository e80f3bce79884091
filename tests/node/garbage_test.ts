/**
 * What has no living owner is found from both sides, and nothing else is touched.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Garbage, Sandbox } from "../../mod.ts";
import { findElementsOf } from "../../src/hostport/host_ports.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { sandboxRecord } from "../../src/sandbox/records/records.ts";
import { acquireLock } from "../../src/state/lock.ts";
import { readRecord, writeRecord } from "../../src/state/store.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";
import { command, ipLinks } from "../support/command.ts";
import { rejects } from "./bare.ts";
import { until } from "../support/patience.ts";

let lab: Lab;
let node: LabNode;
/** Somebody who must not be touched. */
let living: Sandbox;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
  living = await make("living", 9000);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

function make(name: string, hostPort = 8080): Promise<Sandbox> {
  return node.node.createSandbox({
    name,
    ports: [{ hostPort, containerPort: 80 }],
  });
}

function directory({ netnsPath }: Sandbox): string {
  return netnsPath.slice(0, netnsPath.lastIndexOf("/"));
}

/** What the node still has of a sandbox, in the kernel and on disk. */
function tracesOf(sandbox: Sandbox): string[] {
  using nft = node.namespace.run(() => NftablesConnection.open());
  const elements = findElementsOf(nft, (id) => id === sandbox.id);
  const routes = sandbox.addresses.flatMap((address) =>
    command(
      node.namespace,
      `ip ${address.includes(":") ? "-6 " : ""}route show ${address}`,
    ).trim() || []
  );
  const files = [...Deno.readDirSync(`${node.node.stateDir}/node-1/sandboxes`)]
    .map(({ name }) => name).filter((name) => name === sandbox.id);
  return [...elements.map(({ set }) => set.name), ...routes, ...files];
}

async function hostInterfaceIsGone({ hostInterface }: Sandbox): Promise<void> {
  // The kernel takes a moment.
  await until(
    () =>
      ipLinks(node.namespace).every(({ ifname }) => ifname !== hostInterface),
    `${hostInterface} is still there`,
  );
}

/** What is wrong with a sandbox, and the reason that is told. */
type Expected = readonly [Sandbox, Garbage["kind"], RegExp];

/** A dry run tells the same and changes nothing; then the collection takes all. */
async function assertCollected(...expected: readonly Expected[]) {
  const traces = () => expected.map(([sandbox]) => tracesOf(sandbox));
  const healthy = tracesOf(living);
  const before = traces();
  const dry = await node.node.collectGarbage({ dryRun: true });
  assertEquals(traces(), before);
  assertEquals(dry.length, expected.length);
  for (const [{ id }, kind, reason] of expected) {
    const found = dry.find((one) => one.id === id && one.kind === kind);
    assertEquals(found?.removed, false, kind);
    assertMatch(found?.reason ?? "", reason);
  }
  const collected = await node.node.collectGarbage();
  assertEquals(collected, dry.map((item) => ({ ...item, removed: true })));
  assertEquals(traces(), expected.map(() => []));
  for (const [sandbox] of expected) await hostInterfaceIsGone(sandbox);
  assertEquals(await node.node.collectGarbage(), []);
  assertEquals(tracesOf(living), healthy);
  assertEquals(await node.node.check(), []);
}

Deno.test("collectGarbage() finds nothing where nothing is wrong", async () => {
  assertEquals(await node.node.collectGarbage(), []);
  assertEquals(await node.node.collectGarbage({ force: true }), []);
});

Deno.test("collectGarbage() takes a sandbox whose creation was cut short", async () => {
  const sandbox = await make("half");
  const path = `${directory(sandbox)}/record.cbor`;
  const record = readRecord(sandboxRecord, path);
  assert(record !== undefined);
  writeRecord(sandboxRecord, path, { ...record, state: "creating" });
  await rejects("SandboxNotFound", () => node.node.openSandbox("half"));
  await assertCollected([sandbox, "sandbox", /cut short before it was ready/]);
});

Deno.test("collectGarbage() takes a directory without a record, whose pin is there already", async () => {
  const sandbox = await make("first-moment");
  const path = directory(sandbox);
  await sandbox.remove();
  await hostInterfaceIsGone(sandbox);
  Deno.mkdirSync(path, { mode: 0o700 });
  Deno.writeTextFileSync(`${path}/netns`, "");
  command(node.namespace, `mount --bind /proc/self/ns/net ${path}/netns`);
  await assertCollected([
    sandbox,
    "pin",
    /^its creation was cut short: \S+\/netns has no record$/,
  ]);
});

Deno.test("collectGarbage() takes a sandbox whose namespace is gone, and its ports are free again", async () => {
  const sandbox = await make("dead");
  command(node.namespace, `umount -l ${sandbox.netnsPath}`);
  await hostInterfaceIsGone(sandbox);
  await assertCollected([sandbox, "sandbox", /network namespace is gone/]);
  await (await make("dead")).remove();
});

Deno.test("collectGarbage() takes a link without a record, with its elements, and elements without even a link", async () => {
  const linked = await make("linked");
  const bare = await make("elements", 8081);
  // Something keeps the namespace, so the link stays.
  const pin = `${node.node.stateDir}/keeper`;
  Deno.writeTextFileSync(pin, "");
  command(node.namespace, `mount --bind ${linked.netnsPath} ${pin}`);
  for (const sandbox of [linked, bare]) {
    command(node.namespace, `umount -l ${sandbox.netnsPath}`);
    Deno.removeSync(directory(sandbox), { recursive: true });
  }
  await hostInterfaceIsGone(bare);
  await assertCollected(
    [linked, "link", /^link pn-\w+ belongs to no sandbox$/],
    [linked, "element", /^element .+ of set \w+ and \d more belong to no sand/],
    [
      bare,
      "element",
      /^element .+ of set \w+ and \d more belong to no sandbox/,
    ],
  );
  command(node.namespace, `umount -l ${pin}`);
  Deno.removeSync(pin);
});

Deno.test("collectGarbage() leaves a damaged record, and with force moves it aside and takes the sandbox", async () => {
  const sandbox = await make("damaged");
  const record = `${directory(sandbox)}/record.cbor`;
  Deno.writeTextFileSync(record, "nonsense");
  const before = tracesOf(sandbox);
  const [found, ...others] = await node.node.collectGarbage();
  assertEquals(others, []);
  assert(found !== undefined);
  const { reason, ...rest } = found;
  assertEquals(rest, { kind: "record", id: sandbox.id, removed: false });
  assert(reason.includes(record));
  assertEquals(tracesOf(sandbox), before);
  assertEquals(
    await node.node.collectGarbage({ force: true, dryRun: true }),
    [found],
  );
  assertEquals(tracesOf(sandbox), before);

  assertEquals(await node.node.collectGarbage({ force: true }), [
    { ...found, removed: true },
  ]);
  assertEquals(tracesOf(sandbox), []);
  await hostInterfaceIsGone(sandbox);
  const aside = `${node.node.stateDir}/node-1/damaged`;
  const [kept, ...more] = [...Deno.readDirSync(aside)];
  assertEquals(more, []);
  assert(kept !== undefined && kept.name.startsWith(`${sandbox.id}.`));
  assertEquals(Deno.readTextFileSync(`${aside}/${kept.name}`), "nonsense");
  assertEquals(await node.node.check(), []);
  assertEquals(await node.node.collectGarbage({ force: true }), []);
});

Deno.test("collectGarbage() waits for a sandbox that is being made, and takes one that stayed unfinished", async () => {
  const id = "0123456789abcdef";
  const path = `${node.node.stateDir}/node-1/sandboxes/${id}`;
  Deno.mkdirSync(path, { mode: 0o700 });
  let done = false;
  let collection: Promise<Garbage[]>;
  {
    using _maker = await acquireLock(path, "exclusive");
    collection = node.node.collectGarbage().finally(() => done = true);
    await new Promise((wake) => setTimeout(wake, 60));
    assertEquals(done, false);
    assert(Deno.statSync(path).isDirectory);
  }
  assertEquals((await collection).map((found) => found.id), [id]);
});

Deno.test("collectGarbage() during many creations and removals touches none of them", async () => {
  const names = Array.from({ length: 12 }, (_, i) => `busy-${i}`);
  let busy = true;
  const collected: Garbage[] = [];
  const collector = (async () => {
    while (busy) {
      collected.push(...await node.node.collectGarbage());
      await new Promise((wake) => setTimeout(wake, 0));
    }
  })();
  const work = async (name: string) => {
    for (let i = 0; i < 2; i++) {
      const sandbox = await node.node.createSandbox({ name });
      await new Promise((wake) => setTimeout(wake, 0));
      await sandbox.remove();
    }
    return await node.node.createSandbox({ name });
  };
  const made = await Promise.allSettled(names.map(work));
  busy = false;
  await collector;
  assertEquals(collected, []);
  assertEquals(await node.node.check(), []);
  for (const one of made) {
    assert(one.status === "fulfilled");
    await one.value.remove();
  }
});

/**
 * Of many removals the last part is done a little later: nobody sees that, and nothing is left, however the process ends.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type Node, removeNode } from "../../mod.ts";
import { contextOf } from "../../src/sandbox/node.ts";
import type { SandboxRecord } from "../../src/sandbox/records/records.ts";
import { O_RDONLY, open, readDirectory, readLink } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";
import { command } from "../support/command.ts";
import { filesBelow, mountsBelow } from "../support/node_state.ts";
import { BareNode, POD_CIDRS, rejects, spawnFixture } from "./bare.ts";
import { settled, until } from "../support/patience.ts";

/** Waits until all is as it was before: the kernel destroys namespaces on its own time. */
async function assertState(bare: BareNode, before: string, why: string) {
  assertEquals(await settled(() => bare.state(), before), before, why);
}

/** What waits. */
function waitingIn({ stateDir }: { readonly stateDir: string }): string[] {
  try {
    return Deno.readDirSync(`${stateDir}/bare/removed`).toArray()
      .map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Removes a sandbox as if it were not the first. */
function removeAsOneOfMany(node: Node, name: string): Promise<boolean> {
  contextOf(node).late?.begin()?.[Symbol.dispose]();
  return node.removeSandbox(name);
}

/** Sandboxes are removed by a process that ends so. Returns what waited then. */
async function removedBy(
  bare: BareNode,
  end: string,
  count = 3,
): Promise<string[]> {
  const url = new URL("./fixtures/removing.ts", import.meta.url);
  const permissions = ["--allow-ffi", "--allow-read", "--allow-run"];
  const { stdout, stderr } = await spawnFixture(
    url,
    [bare.path, bare.stateDir, end, String(count)],
    { permissions },
  ).output();
  const decoder = new TextDecoder();
  const told = decoder.decode(stdout);
  assert(told !== "", decoder.decode(stderr));
  return JSON.parse(told);
}

for (
  const end of [
    "its event loop runs empty",
    "Deno.exit()",
    "the node is disposed",
  ]
) {
  Deno.test(`a process that removed several sandboxes leaves nothing when it ends: ${end}`, async () => {
    await using bare = new BareNode();
    await using node = await bare.open();
    const before = bare.state();
    // More than the kernel is given at a time.
    const waited = await removedBy(bare, end, 50);
    assert(waited.length > 0);
    assertEquals(waitingIn(bare), []);
    assertEquals(mountsBelow(bare.stateDir).length, 1);
    await assertState(bare, before, end);
    assertEquals(await node.collectGarbage(), []);
  });
}

function descriptorOf(number: string): string | undefined {
  try {
    return readLink(`/proc/self/fd/${number}`);
  } catch {
    return undefined;
  }
}

Deno.test("that a file of a removed sandbox cannot be closed is no reason to fail, and no node stays open for it", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const open = () => `${Deno.readDirSync("/proc/self/fd").toArray().length}`;
  const before = open();
  {
    await using other = await bare.open({});
    const sandbox = await other.createSandbox({ name: "a" });
    await sandbox.addContainer({ name: "c" });
    await sandbox.removeContainer("c");
    await removeAsOneOfMany(other, "a");
    // As a program does that closes what is not its own.
    const records = readDirectory("/proc/self/fd").map(({ name }) => name)
      .filter((fd) => descriptorOf(fd)?.includes("/record.cbor"));
    assertEquals(records.length, 1);
    for (const fd of records) libc().close(Number(fd));
  }
  assertEquals(waitingIn(bare), []);
  assertEquals(await settled(open, before), before);
  assertEquals(await node.collectGarbage(), []);
});

/** Who finishes what a killed process left. */
const FINISHERS: Readonly<
  Record<string, (bare: BareNode, node: Node) => Promise<unknown>>
> = {
  "openNode()": async (bare) => {
    await using _other = await bare.open({});
  },
  "several at once": (bare, node) =>
    Promise.all([
      ...Array.from({ length: 4 }, async () => {
        await using other = await bare.open({});
        await other.removeSandbox("pod-2");
      }),
      node.collectGarbage(),
      node.removeSandbox("pod-1"),
    ]),
  "collectGarbage()": async (_, node) => {
    assertEquals(await node.collectGarbage(), []);
  },
  "removeSandbox() again": async (_, node) => {
    assertEquals(await node.removeSandbox("pod-1"), false);
  },
  "removeSandbox() with force": (_, node) =>
    node.removeSandbox("pod-1", { force: true }),
};

Deno.test("what waits in a process that is killed is nobody's concern, and goes with the next who opens the node, removes or collects garbage", async (t) => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const before = bare.state();
  const files = () => [filesBelow(bare.stateDir), mountsBelow(bare.stateDir)];
  for (const [finisher, finish] of Object.entries(FINISHERS)) {
    const waited = await removedBy(bare, "killed");
    assert(waited.length > 0);
    assertEquals(waitingIn(bare), waited);
    const left = files();
    assertEquals(await node.check(), []);
    assertEquals(await node.collectGarbage({ dryRun: true }), []);
    assertEquals(await node.listSandboxes(), []);
    assertEquals(files(), left);
    await finish(bare, node);
    await t.step(finisher, async () => {
      assertEquals(waitingIn(bare), []);
      await assertState(bare, before, finisher);
    });
  }
});

Deno.test("a node is taken down with what a killed process left, whether it can be opened or not", async () => {
  await using bare = new BareNode();
  const before = bare.state();
  {
    await using node = await bare.open();
    await removedBy(bare, "killed");
    await node.remove();
    await assertState(bare, before, "Node.remove()");
  }
  for (const force of [false, true]) {
    await (await bare.open())[Symbol.asyncDispose]();
    await removedBy(bare, "killed");
    const record = `${bare.stateDir}/bare/node.cbor`;
    if (force) Deno.writeTextFileSync(record, "no record");
    await removeNode({ ...bare.reference, force });
    await assertState(bare, before, `removeNode(${force})`);
  }
});

Deno.test("a node that was taken down by a podnet that does not know what waits can be set up again, and is whole", async () => {
  await using bare = new BareNode();
  const before = bare.state();
  await (await bare.open())[Symbol.asyncDispose]();
  await removedBy(bare, "killed");
  // As that does it: what it does not know it cannot remove.
  const directory = `${bare.stateDir}/bare`;
  command(
    bare.namespace,
    `nft delete table inet podnet
     ip addr del 10.99.0.1/32 dev lo; ip addr del fd00:10:99::1/128 dev lo
     ip route flush proto 112; ip -6 route flush proto 112
     umount -l ${directory}
     rm -r ${directory}/node.cbor ${directory}/sandboxes ${directory}/lock`,
  );
  assert(waitingIn(bare).length > 0);
  await using node = await bare.open();
  assertEquals(waitingIn(bare), []);
  assertEquals(await node.check(), []);
  await node.remove();
  await assertState(bare, before, "removed");
});

Deno.test("a sandbox can be made again while the one that was removed waits", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const ports = [{ hostPort: 8080, containerPort: 80 }];
  const old = await node.createSandbox({ name: "web", ports });
  await removeAsOneOfMany(node, "web");
  assertEquals(waitingIn(bare), [old.hostInterface]);
  const { addresses } = old;
  const made = await node.createSandbox({ name: "web", ports, addresses });
  assertEquals(made.id, old.id);
  assertNotEquals(made.hostInterface, old.hostInterface);
  assertEquals(await node.check(), []);
  await contextOf(node).late?.[Symbol.asyncDispose]();
  assertEquals(waitingIn(bare), []);
  assertEquals(await node.check(), []);
  assertEquals(mountsBelow(bare.stateDir).length, 2);
  await made.remove();
});

Deno.test("who has the files of a sandbox open does not take it for there while it waits", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  await using other = await bare.open({});
  const before = bare.state();
  const sandbox = await node.createSandbox({ name: "web" });
  for (const hostPort of [8080, 8081]) {
    await sandbox.addPorts([{ hostPort, containerPort: 80 }]);
  }
  await removeAsOneOfMany(other, "web");
  assertEquals(waitingIn(bare), [sandbox.hostInterface]);
  await rejects(
    "SandboxNotFound",
    () => sandbox.addPorts([{ hostPort: 8082, containerPort: 80 }]),
  );
  await assertState(bare, before, "removed");
});

/** Descriptors of this process that lead below the state directory, but those that are kept for the node. */
function openOf({ stateDir }: BareNode): string[] {
  return Deno.readDirSync("/proc/self/fd").toArray().flatMap(({ name }) => {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      return target.startsWith(`${stateDir}/bare/`) ? [target] : [];
    } catch (error) {
      // That by which they are listed.
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }).sort();
}

Deno.test("what is open of a sandbox that waits is closed with its end", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const before = openOf(bare);
  for (const name of ["pod-0", "pod-1", "pod-2"]) {
    const sandbox = await node.createSandbox({ name });
    await sandbox.addPorts([{ hostPort: 8080, containerPort: 80 }]);
    await removeAsOneOfMany(node, name);
  }
  const { late } = contextOf(node);
  await late?.[Symbol.asyncDispose]();
  assertEquals(openOf(bare), before);
  assertEquals(waitingIn(bare), []);
});

type Link = NonNullable<SandboxRecord["link"]>;

/** The link of a sandbox, from its record. */
function linkOf(node: Node, name: string): Link {
  const { state } = contextOf(node);
  const link = state.sandboxIds().map((id) => state.readSandbox(id))
    .find((record) => record?.spec.name === name)?.link;
  assert(link !== undefined);
  return link;
}

Deno.test("a hundred sandboxes that are removed at once, or in a row, are gone; the event loop has its turn meanwhile, and the kernel is given few at a time", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const { hasLink } = contextOf(node).sockets;
  const before = bare.state();
  const names = Array.from({ length: 100 }, (_, i) => `pod-${i}`);
  for (const how of ["at once", "in a row"]) {
    const removed: Link[] = [];
    let turns = 0;
    let most = 0;
    const look = setInterval(() => {
      turns++;
      const waiting = waitingIn(bare);
      const isGivenAway = ({ hostInterface, hostIndex }: Link) =>
        !waiting.includes(hostInterface) && hasLink(hostIndex);
      most = Math.max(most, removed.filter(isGivenAway).length);
    }, 0);
    for (const name of names) await node.createSandbox({ name });
    turns = 0;
    const remove = async (name: string) => {
      const link = linkOf(node, name);
      assert(await node.removeSandbox(name));
      removed.push(link);
    };
    if (how === "at once") await Promise.all(names.map(remove));
    else for (const name of names) await remove(name);
    assert(turns > 3, `${turns} turns`);
    await until(() => waitingIn(bare).length === 0);
    clearInterval(look);
    // Those that it begins with, and the next.
    assert(most > 0 && most < 64, `${most} were to be destroyed`);
    await assertState(bare, before, how);
  }
});

Deno.test("namespaces that somebody else keeps in use do not keep those of later removals waiting", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const before = bare.state();
  {
    using held = new DisposableStack();
    for (let i = 0; i < 50; i++) {
      const { netnsPath } = await node.createSandbox({ name: `pod-${i}` });
      held.use(open(netnsPath ?? "", O_RDONLY));
    }
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => node.removeSandbox(`pod-${i}`)),
    );
    assert(waitingIn(bare).length > 0);
    await until(() => waitingIn(bare).length === 0);
  }
  await assertState(bare, before, "let go");
});

Deno.test("what waits in a process that lives is left to it, and holds few descriptors", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const before = bare.state();
  const names = Array.from({ length: 120 }, (_, i) => `pod-${i}`);
  {
    using held = new DisposableStack();
    await using other = await bare.open({});
    for (const name of names) {
      const sandbox = await other.createSandbox({ name });
      await sandbox.addContainer({ name: "c" });
      held.use(open(sandbox.netnsPath, O_RDONLY));
    }
    const had = openOf(bare).length;
    for (const name of names) {
      const sandbox = await other.openSandbox(name);
      await sandbox.removeContainer("c");
      await removeAsOneOfMany(other, name);
    }
    // Record and directory of those that were changed last, and of those that are let go next.
    const added = openOf(bare).length - had;
    assert(added <= 2 * 32 + 2 * 32, `${added} more are open`);
    const start = performance.now();
    const waited = waitingIn(bare).length;
    await (await bare.open({}))[Symbol.asyncDispose]();
    assertEquals(await node.removeSandbox("pod-1"), false);
    assertEquals(await other.removeSandbox("nobody", { force: true }), false);
    const gone = waited - waitingIn(bare).length;
    // Since the namespaces are in use, 32 in a second.
    const seconds = Math.ceil((performance.now() - start) / 1000);
    assert(gone <= 32 * (1 + seconds), `${gone} are gone of ${waited}`);
    assert(waited > 64, `${waited} were waiting`);
  }
  assertEquals(waitingIn(bare), []);
  await assertState(bare, before, "closed");
});

Deno.test("a container that has its own mounts keeps no pin of a sandbox that waited", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const names = ["pod-0", "pod-1", "pod-2"];
  for (const name of names) await node.createSandbox({ name });
  await using container = new Deno.Command("unshare", {
    args: ["--mount", "--propagation", "slave", "sleep", "60"],
  }).spawn();
  const pins = () =>
    Deno.readTextFileSync(`/proc/${container.pid}/mountinfo`).split("\n")
      .filter((line) => line.includes(` ${bare.stateDir}/bare/`)).length;
  // unshare(1) becomes sleep(1) when it has them.
  while (Deno.readTextFileSync(`/proc/${container.pid}/comm`) !== "sleep\n") {
    await new Promise((wake) => setTimeout(wake, 5));
  }
  assertEquals(pins(), 3);
  for (const name of names) await removeAsOneOfMany(node, name);
  // At least the last.
  assert(waitingIn(bare).length > 0);
  assert(pins() > 0);
  await contextOf(node).late?.[Symbol.asyncDispose]();
  assertEquals(pins(), 0);
});

Deno.test("of many removals one whose pin is gone, or is something else, is done at once or refused, as it is alone", async () => {
  await using bare = new BareNode();
  await using node = await bare.open({ podCidrs: POD_CIDRS });
  const lost = await node.createSandbox({ name: "lost" });
  const covered = await node.createSandbox({ name: "covered" });
  const before = bare.state();
  command(bare.namespace, `umount ${lost.netnsPath}`);
  command(bare.namespace, `mount --bind /etc/hostname ${covered.netnsPath}`);
  await removeAsOneOfMany(node, "lost");
  assertEquals(waitingIn(bare), []);
  const error = await removeAsOneOfMany(node, "covered").catch((error) =>
    error
  );
  assertEquals(error.code, "InvalidNamespace");
  assertEquals(waitingIn(bare), []);
  command(bare.namespace, `umount ${covered.netnsPath}`);
  assert(await node.removeSandbox("covered"));
  assertNotEquals(bare.state(), before);
  assertEquals(await node.listSandboxes(), []);
});

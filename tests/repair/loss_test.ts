/**
 * What a node can lose besides: pins, the mount that they are below, and links that sandboxes had before.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { nextOf, readyWatch, textOf, untilMended } from "./site.ts";

let lab: Lab;
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

/** A process that stays in the pod, as containers do. */
function container({ sandbox }: Pod): AsyncDisposable {
  const child = sandbox.spawn("sleep", { args: ["1000"] });
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

async function untilEmpty(at: LabNode = node): Promise<void> {
  const { remaining } = await at.node.repair();
  assertEquals(remaining, []);
  assertEquals(await at.node.check(), []);
}

Deno.test("check() says who is in a namespace whose pin is lost, and repair() pins it again", async () => {
  await using pod = await Pod.create(node);
  await using _container = container(pod);
  const { netnsPath } = pod.sandbox;
  const before = command(pod.namespace, "readlink /proc/self/ns/net");
  command(node.namespace, `umount -l ${netnsPath}`);
  const [finding, ...others] = await node.node.check();
  assertEquals(others, []);
  assert(finding?.repairable);
  assert(
    /^network namespace \S+ is not pinned any more, process \d+ is in it$/
      .test(textOf(finding)),
    textOf(finding),
  );
  await untilEmpty();
  assertEquals(
    command(
      node.namespace,
      `nsenter --net=${netnsPath} readlink /proc/self/ns/net`,
    ),
    before,
  );
});

Deno.test("watch() pins a namespace again whose pin is lost", async () => {
  await using pod = await Pod.create(node);
  await using _container = container(pod);
  await using watch = await readyWatch(node, 50);
  command(node.namespace, `umount -l ${pod.sandbox.netnsPath}`);
  await untilMended(node, watch, /is not pinned any more/);
});

Deno.test("the node's mount and all pins below it are made anew", async () => {
  // Of its own: what the process has open below the mount is then of another one.
  await using lab = await createLab();
  const node = nodeAt(lab.nodes, 0);
  await using one = await Pod.create(node);
  await using two = await Pod.create(node);
  await using _one = container(one);
  await using _two = container(two);
  const directory = `${node.node.stateDir}/${node.node.name}`;
  command(node.namespace, `umount -l ${directory}`);
  const found = (await node.node.check()).map(textOf);
  assert(found.includes(`mount ${directory} is gone`), found.join("\n"));
  assertEquals(
    found.filter((text) => text.includes("is not pinned any more")).length,
    2,
  );
  await untilEmpty(node);
});

Deno.test("check() tells that the node's mount is private and leaves it so, and repair() shares it", async () => {
  const directory = `${node.node.stateDir}/${node.node.name}`;
  command(node.namespace, `mount --make-private ${directory}`);
  for (const _ of [1, 2]) {
    assertEquals((await node.node.check()).map(textOf), [
      `mount ${directory} is private, so containers keep pins that are removed`,
    ]);
  }
  await untilEmpty();
});

Deno.test("check() tells of a link that the sandbox had before, and repair() deletes it", async () => {
  await using pod = await Pod.create(node);
  const { id, hostInterface } = pod.sandbox;
  command(
    node.namespace,
    `ip link add pn-000000000001 type bridge; ip link set pn-000000000001 up alias podnet:${node.node.name}/${id}
      ip route add 10.244.1.250 dev pn-000000000001 proto 112`,
  );
  assertEquals((await node.node.check()).map(textOf), [
    "link pn-000000000001 is one that the sandbox had before",
  ]);
  await untilEmpty();
  const links = command(node.namespace, "ip -o link show");
  assert(links.includes(hostInterface ?? "pn-"));
  assert(!links.includes("pn-000000000001"));
});

Deno.test("a sandbox whose namespace is gone is told of once by a watch, and again after it was made anew and lost", async () => {
  await using watch = await readyWatch(node, 50);
  for (const _ of [1, 2]) {
    const sandbox = await node.node.createSandbox({ name: "gone" });
    command(node.namespace, `umount -l ${sandbox.netnsPath}`);
    const event = await nextOf(watch, "repaired", "unrepaired", "contested");
    assert(event.type === "unrepaired", JSON.stringify(event));
    assertEquals(event.finding.repairable, false);
    assertEquals(event.finding.problem, "is gone");
    await sandbox.remove({ force: true });
    // It is forgotten when it was not found once.
    await node.node.createSandbox({ name: "other" });
    const link = await nextOf(watch, "created");
    assert(link.type === "created");
    await untilForgotten();
  }

  /** Something that is mended only by looking at everything: the next such look has not found the old thing. */
  async function untilForgotten(): Promise<void> {
    const other = await node.node.openSandbox("other");
    const file = other.netnsPath.replace(/netns$/, "hosts");
    command(node.namespace, `rm ${file}`);
    await nextOf(watch, "repaired");
    await other.remove();
  }
});

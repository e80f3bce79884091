/**
 * Containers as a sandbox knows them: names, and ports that they share.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Sandbox, SandboxError } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";

let lab: Lab;
let node: LabNode;
let sandbox: Sandbox;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});

Deno.test.beforeEach(async () => {
  sandbox = await node.node.createSandbox({
    name: "pod",
    containers: [{ name: "first", ports: [80] }],
  });
});

Deno.test.afterEach(() => sandbox.remove({ force: true }));

Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

/** As another handle, or another process, reads it. */
async function names(): Promise<string[]> {
  const found = await node.node.openSandbox("pod");
  assertEquals(found.containers, sandbox.containers);
  return found.containers.map(({ name }) => name);
}

Deno.test("addContainer() attaches a container with its ports, for every handle", async () => {
  await sandbox.addContainer({
    name: "second",
    ports: [8080, { port: 80, protocol: "udp" }],
  });
  assertEquals(await names(), ["first", "second"]);
  assertEquals(sandbox.containers[1], {
    name: "second",
    ports: [{ port: 80, protocol: "udp" }, { port: 8080, protocol: "tcp" }],
  });
});

Deno.test("addContainer() of one that is attached does nothing, unless its ports are others", async () => {
  const before = await snapshot(node);
  await sandbox.addContainer({ name: "first", ports: [{ port: 80 }] });
  await assertAsBefore(node, before);
  const error = await assertRejects(
    () => sandbox.addContainer({ name: "first", ports: [81] }),
    SandboxError<"ContainerConflict">,
  );
  assertEquals(error.code, "ContainerConflict");
  assertEquals(error.context, { name: "first" });
  await assertAsBefore(node, before);
});

Deno.test("addContainer() refuses a port that another container of the pod declares", async () => {
  const before = await snapshot(node);
  const error = await assertRejects(
    () => sandbox.addContainer({ name: "second", ports: [79, 80] }),
    SandboxError<"ContainerPortInUse">,
  );
  assertEquals(error.code, "ContainerPortInUse");
  assertEquals(error.context, {
    port: 80,
    protocol: "tcp",
    containers: ["first", "second"],
  });
  assertEquals(await names(), ["first"]);
  await assertAsBefore(node, before);
  // P5: ports are a pod's own.
  await using other = await node.node.createSandbox({
    name: "other",
    containers: [{ name: "first", ports: [80] }],
  });
  await other.remove({ force: true });
});

Deno.test("addContainer() refuses what is no container", async () => {
  const error = await assertRejects(
    () => sandbox.addContainer({ name: "", ports: [0] }),
    SandboxError<"InvalidSpec">,
  );
  assertEquals(error.code, "InvalidSpec");
  assertEquals(
    error.context.problems.map(({ path }) => path),
    ["name", "ports[0]"],
  );
  assertEquals(await names(), ["first"]);
});

Deno.test("addContainer() ten times at once, by two handles, attaches all ten", async () => {
  const other = await node.node.openSandbox("pod");
  const wanted = Array.from({ length: 10 }, (_, i) => `c${i}`);
  await Promise.all(
    wanted.map((name, i) => [sandbox, other][i % 2]?.addContainer({ name })),
  );
  const found = await node.node.openSandbox("pod");
  assertEquals(
    found.containers.map(({ name }) => name).sort(),
    [...wanted, "first"],
  );
});

Deno.test("removeContainer() frees name and ports; of one that is not attached it does nothing", async () => {
  await sandbox.removeContainer("nobody");
  assertEquals(await names(), ["first"]);
  await sandbox.removeContainer("first");
  assertEquals(await names(), []);
  await sandbox.removeContainer("first");
  await sandbox.addContainer({ name: "second", ports: [80] });
  await sandbox.addContainer({ name: "first", ports: [81] });
  assertEquals(await names(), ["second", "first"]);
});

Deno.test("IP4 a sandbox keeps its network while containers come and go", async () => {
  const { containers: _, ...before } = sandbox.toJSON();
  await sandbox.removeContainer("first");
  await sandbox.addContainer({ name: "first", ports: [80] });
  const { containers: __, ...after } = sandbox.toJSON();
  assertEquals(after, before);
  assertEquals(await node.node.check(), []);
});

Deno.test("remove() of a sandbox with containers needs force", async () => {
  const before = await snapshot(node);
  for (
    const attempt of [
      () => sandbox.remove(),
      () => node.node.removeSandbox("pod"),
      () => node.node.removeSandbox(sandbox.id, { force: false }),
    ]
  ) {
    const error = await assertRejects(attempt, SandboxError<"SandboxInUse">);
    assertEquals(error.code, "SandboxInUse");
    assertEquals(error.context, { id: sandbox.id, containers: ["first"] });
  }
  await assertAsBefore(node, before);
  await sandbox.removeContainer("first");
  await sandbox.remove();
  assertEquals(await node.node.listSandboxes(), []);
});

Deno.test("addContainer() and removeContainer() say when the sandbox is gone", async () => {
  await sandbox.remove({ force: true });
  for (
    const attempt of [
      () => sandbox.addContainer({ name: "late" }),
      () => sandbox.removeContainer("first"),
    ]
  ) {
    const error = await assertRejects(attempt, SandboxError<"SandboxNotFound">);
    assertEquals(error.code, "SandboxNotFound");
    assertEquals(error.context, { name: "pod", namespace: "default" });
  }
  assert(!await node.node.removeSandbox("pod"));
});

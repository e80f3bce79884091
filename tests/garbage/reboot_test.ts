/**
 * After a reboot, or when the state directory is lost, opening the node again and collecting garbage leaves what is living
 * and nothing else: whatever was kept, and whichever numbers the kernel gives anew.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { openNode, type Sandbox } from "../../mod.ts";
import {
  nodeRecord,
  sandboxRecord,
} from "../../src/sandbox/records/records.ts";
import { readRecord, writeRecord } from "../../src/state/store.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { ask, FAMILIES, serve } from "../support/ask.ts";
import { familyOf } from "../support/sockets.ts";
import { BareNode, POD_CIDRS, rejects } from "../node/bare.ts";
import { directoryOf, linkGone, loseNotes, Scene } from "./scene.ts";

/** Changes the note of a node. */
function renote(
  directory: string,
  change: { readonly netnsId?: string; readonly bootId?: string },
): void {
  const path = `${directory}/node.cbor`;
  const record = readRecord(nodeRecord, path);
  assert(record !== undefined);
  writeRecord(nodeRecord, path, { ...record, ...change });
}

function assertAnswers(
  scene: { readonly namespace: NetworkNamespace },
  sandbox: Sandbox,
  port: number,
): void {
  using pod = NetworkNamespace.open(sandbox.netnsPath);
  for (const address of sandbox.addresses) {
    using server = serve("pod", pod, { transport: "tcp", address, port: 80 });
    const gateway = familyOf(address) === 4 ? "127.0.0.1" : "::1";
    const answer = ask("tcp", scene.namespace, { address: gateway, port }, [
      server,
    ]);
    assert(typeof answer === "object", address);
  }
}

Deno.test("a node whose state directory was lost while its pods lived is opened anew with the same name, and collects all of them", async () => {
  await using scene = await Scene.create();
  const empty = await (async () => {
    const living = scene.living;
    await living.remove();
    return await scene.state();
  })();
  const ports = [{ hostPort: 9000, containerPort: 80 }];
  const held = await scene.node.createSandbox({ name: "held", ports });
  const gone = await scene.node.createSandbox({ name: "gone" });
  using _holder = NetworkNamespace.open(held.netnsPath);
  // As by umount -l and rm -rf: all mounts and files of the node.
  scene.run(`umount -l ${scene.directory}`);
  Deno.removeSync(scene.directory, { recursive: true });
  await linkGone(scene, gone);

  const { name, netns } = { name: "bare", netns: scene.namespace };
  await using again = await openNode({
    name,
    netns,
    stateDir: scene.bare.stateDir,
    podCidrs: POD_CIDRS,
  });
  assertEquals([...again.changes], []);
  assertEquals(await again.listSandboxes(), []);
  const planned = await again.collectGarbage({ dryRun: true });
  assertEquals(
    planned.map(({ kind, id }) => [kind, id]).sort(),
    [
      ["element", gone.id],
      ["element", held.id],
      ["link", held.id],
    ].sort(),
  );
  assertEquals(
    await again.collectGarbage(),
    planned.map((one) => ({ ...one, removed: true })),
  );
  assertEquals(await again.collectGarbage(), []);
  assertEquals(await again.check(), []);
  // Mounts have new numbers.
  const mounts = /^\d+ \d+ \d+:\d+ .*\n/gm;
  assertEquals(
    (await scene.state()).replaceAll(mounts, ""),
    empty.replaceAll(mounts, ""),
  );
  const same = await again.createSandbox({ name: "held", ports });
  assertEquals(same.addresses, held.addresses);
  assertAnswers(scene, same, 9000);
  await same.remove();
});

Deno.test("a sandbox that is made again after its notes were lost has its ports lead to itself, though the old one still lives", async () => {
  await using scene = await Scene.create();
  const spec = {
    name: "again",
    ports: [{ hostPort: 9050, containerPort: 80 }, {
      protocol: "udp" as const,
      hostPort: 9050,
      containerPort: 80,
    }],
  };
  const old = await scene.node.createSandbox(spec);
  using _holder = NetworkNamespace.open(old.netnsPath);
  loseNotes(scene, old);
  const sandbox = await scene.node.createSandbox(spec);
  assertEquals(sandbox.id, old.id);
  assert(!sandbox.addresses.some((one) => old.addresses.includes(one)));
  assertAnswers(scene, sandbox, 9050);
  const found = await scene.collect();
  assertEquals(found.map(({ kind, id }) => [kind, id]).sort(), [
    ["element", old.id],
    ["link", old.id],
  ]);
  assertAnswers(scene, sandbox, 9050);
  await sandbox.remove();
});

for (
  const [what, isSameNumber] of [
    ["in a namespace of another number", false],
    ["in a namespace that has the old one's number by chance", true],
  ] as const
) {
  Deno.test(`after a reboot that kept the state directory, a node is opened ${what}, and dead sandboxes are collected`, async () => {
    await using bare = new BareNode();
    await using fresh = new BareNode();
    const directory = `${bare.stateDir}/bare`;
    const ids: string[] = [];
    {
      await using node = await bare.open();
      for (const hostNetwork of [false, true]) {
        const sandbox = await node.createSandbox({
          name: `old-${hostNetwork}`,
          hostNetwork,
          ports: [{
            hostPort: 9000 + ids.length,
            containerPort: 9000 + ids.length,
          }],
        });
        ids.push(sandbox.id);
        Deno.writeTextFileSync(`${bare.stateDir}/kept`, "");
      }
    }
    // Mounts do not outlive a boot, files on disk do.
    const line = `umount -l ${directory}`;
    new Deno.Command("sh", { args: ["-c", line] }).outputSync();
    if (isSameNumber) {
      renote(directory, { netnsId: fresh.namespace.id });
      for (const id of ids) {
        const path = `${directory}/sandboxes/${id}/record.cbor`;
        const record = readRecord(sandboxRecord, path);
        assert(record !== undefined);
        const netnsId = record.spec.hostNetwork
          ? fresh.namespace.id
          : record.netnsId;
        writeRecord(sandboxRecord, path, { ...record, netnsId });
      }
    } else {
      const error = await rejects(
        "NodeConflict",
        () => bare.open({ netns: fresh.namespace }),
      );
      assert(error.context.reason.includes(bare.namespace.id));
    }
    renote(directory, { bootId: "00000000-0000-0000-0000-000000000000" });
    const state = fresh.state().split("\n").filter((l) => !l.includes("/"));
    {
      await using node = await bare.open({ netns: fresh.namespace });
      assertEquals(node.netnsId, fresh.namespace.id);
      assertEquals(node.podCidrs, POD_CIDRS);
      const planned = await node.collectGarbage({ dryRun: true, force: true });
      assertEquals(planned.map(({ id }) => id).sort(), [...ids].sort());
      const done = await node.collectGarbage({ force: true });
      assertEquals(done, planned.map((one) => ({ ...one, removed: true })));
      assertEquals(await node.collectGarbage(), []);
      assertEquals(await node.check(), []);
      const sandbox = await node.createSandbox({
        name: "new",
        ports: [{ hostPort: 9000, containerPort: 80 }],
      });
      assertAnswers(fresh, sandbox, 9000);
      await using second = await bare.open({ netns: fresh.namespace });
      assertEquals([...second.changes], []);
      await node.remove({ force: true });
      await linkGone(fresh, sandbox);
    }
    assertEquals(
      fresh.state().split("\n").filter((l) => !l.includes("/")),
      state,
    );
    Deno.removeSync(`${bare.stateDir}/kept`);
  });
}

Deno.test("after a reboot that took the state directory, a node is set up anew and nothing is garbage", async () => {
  await using scene = await Scene.create();
  await using fresh = new BareNode();
  await using node = await fresh.open({ podCidrs: POD_CIDRS });
  assertEquals(await node.collectGarbage(), []);
  // The other one's are in another namespace and another directory.
  assertEquals(await scene.node.check(), []);
  for (const family of FAMILIES) {
    assert(scene.living.addresses.some((a) => familyOf(a) === family));
  }
});

Deno.test("collectGarbage() never takes things of another node of the same state directory", async () => {
  await using scene = await Scene.create();
  using namespace = NetworkNamespace.create();
  await using other = await openNode({
    name: "other",
    netns: namespace,
    stateDir: scene.bare.stateDir,
    podCidrs: POD_CIDRS,
  });
  const theirs = await other.createSandbox({ name: "living" });
  loseNotes(scene, scene.living);
  await linkGone(scene, scene.living);
  assertEquals(
    (await scene.node.collectGarbage({ force: true })).map(({ kind }) => kind),
    ["element"],
  );
  assertEquals(await other.check(), []);
  assertEquals(await other.collectGarbage(), []);
  assert(Deno.statSync(directoryOf(theirs)).isDirectory);
  await other.remove({ force: true });
});

Deno.test("repair() never pins the namespace of a stranger that has a dead sandbox's number by chance", async () => {
  await using scene = await Scene.create();
  using stranger = NetworkNamespace.create();
  // Somebody is in it, as a container that was started since.
  const child = stranger.run(() =>
    new Deno.Command("sleep", { args: ["60"], stdin: "null" }).spawn()
  );
  try {
    const dead = await scene.node.createSandbox({ name: "dead" });
    scene.run(`umount -l ${dead.netnsPath}`);
    await linkGone(scene, dead);
    const path = `${directoryOf(dead)}/record.cbor`;
    const record = readRecord(sandboxRecord, path);
    assert(record !== undefined);
    writeRecord(sandboxRecord, path, { ...record, netnsId: stranger.id });
    const [finding] = await scene.node.check();
    assertEquals(finding?.problem, "is gone");
    await scene.node.repair();
    assertEquals(Deno.statSync(dead.netnsPath).size, 0);
    await rejects(
      "InvalidNamespace",
      () => Promise.resolve().then(() => NetworkNamespace.open(dead.netnsPath)),
    );
    assertEquals((await scene.collect()).map(({ id }) => id), [dead.id]);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});

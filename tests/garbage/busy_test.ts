/**
 * What another process is making is never taken, whether it runs, was stopped in the middle, or is one of many.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { resultOf, spawnFixture } from "../node/bare.ts";
import { linkGone, loseNotes, Scene } from "./scene.ts";
import { until } from "../support/patience.ts";

/** Waits until a process is stopped (proc_pid_stat(5)). */
async function stopped({ pid }: Deno.ChildProcess): Promise<void> {
  await until(() => {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")")).startsWith(") T");
  }, "it was never stopped");
}

function creator({ bare }: Scene): Deno.ChildProcess {
  const url = new URL("./fixtures/stopped.ts", import.meta.url);
  return spawnFixture(url, [bare.path, bare.stateDir], {
    permissions: ["--allow-ffi", "--allow-run"],
  });
}

Deno.test("collectGarbage() leaves a sandbox whose maker was stopped in the middle, takes what else there is, and takes it once the maker is dead", async () => {
  await using scene = await Scene.create();
  const healthy = await scene.state();
  const child = creator(scene);
  let other: string;
  try {
    await stopped(child);
    const half = await scene.state();
    assert(half !== healthy && half.includes("podnet:bare/"));
    const lost = await scene.node.createSandbox({ name: "lost" });
    other = lost.id;
    loseNotes(scene, lost);
    const found = await scene.node.collectGarbage();
    assertEquals(found.map(({ id }) => id), [other]);
    assertEquals(await scene.state(), half);
  } finally {
    child.kill("SIGKILL");
    await child.output();
  }
  const [found, ...more] = await scene.node.collectGarbage();
  assertEquals(more, []);
  assertEquals(found?.kind, "pin");
  assert(found?.reason.startsWith("its creation was cut short"));
  assertEquals(await scene.state(), healthy);
});

Deno.test("collectGarbage() leaves a directory that its maker has not locked yet", async () => {
  await using scene = await Scene.create();
  Deno.mkdirSync(`${scene.directory}/sandboxes/late`, { mode: 0o700 });
  const found = scene.node.collectGarbage();
  const sandbox = await scene.node.createSandbox({ name: "pod", id: "late" });
  assertEquals(await found, []);
  assertEquals(await scene.node.check(), []);
  await sandbox.remove();
});

Deno.test("a maker that was stopped in the middle makes its sandbox whole when it goes on, whatever was collected meanwhile", async () => {
  await using scene = await Scene.create();
  const child = creator(scene);
  try {
    await stopped(child);
    assertEquals(await scene.node.collectGarbage(), []);
  } finally {
    child.kill("SIGCONT");
  }
  const addresses = await resultOf(child);
  const sandbox = await scene.node.openSandbox("slow");
  assertEquals(addresses, sandbox.addresses);
  assertEquals(await scene.node.check(), []);
  assertEquals(await scene.node.collectGarbage(), []);
});

Deno.test("collectGarbage() in a tight loop in two processes takes nothing that others make, change and remove", async () => {
  await using scene = await Scene.create();
  const before = await scene.state();
  const { bare, node } = scene;
  const url = new URL("./fixtures/collector.ts", import.meta.url);
  const collectors = [1, 2].map(() =>
    spawnFixture(url, [bare.path, bare.stateDir], { stdin: "piped" })
  );
  const sandboxes = [];
  for (let i = 0; i < 60; i++) {
    const sandbox = await node.createSandbox({
      name: `busy-${i % 20}`,
      ports: [{ hostPort: 9200 + i % 20, containerPort: 80 }],
    });
    await sandbox.addPorts([{
      protocol: "udp",
      hostPort: 9300 + i % 20,
      containerPort: 80,
    }]);
    if (i % 2 === 0) {
      await sandbox.removePorts([{
        protocol: "udp",
        hostPort: 9300 + i % 20,
        containerPort: 80,
      }]);
    }
    if (i < 40) await sandbox.remove();
    else sandboxes.push(sandbox);
    await new Promise((wake) => setTimeout(wake, 0));
  }
  for (const { stdin } of collectors) await stdin.close();
  for (const collector of collectors) {
    const { found, runs } = await resultOf(collector) as {
      found: unknown[];
      runs: number;
    };
    assertEquals(found, []);
    assert(runs > 0);
  }
  assertEquals(await node.check(), []);
  for (const sandbox of sandboxes) await sandbox.remove();
  assertEquals(await scene.state(), before);
});

Deno.test("collectGarbage() leaves a sandbox that lost its pin while a process is in it, and takes it when the process is gone", async () => {
  await using scene = await Scene.create();
  const before = await scene.state();
  const held = await scene.node.createSandbox({
    name: "held",
    ports: [{ hostPort: 9400, containerPort: 80 }],
  });
  const child = held.spawn("sleep", { args: ["60"], stdin: "null" });
  try {
    await held[Symbol.asyncDispose]();
    scene.run(`umount -l ${held.netnsPath}`);
    const state = await scene.state();
    assertEquals(await scene.node.collectGarbage(), []);
    assertEquals(await scene.state(), state);
    await scene.node.repair();
    assertEquals(await scene.node.check(), []);
    scene.run(`umount -l ${held.netnsPath}`);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
  await linkGone(scene, held);
  assertEquals(
    (await scene.node.collectGarbage()).map(({ kind, id }) => [kind, id]),
    [["sandbox", held.id]],
  );
  assertEquals(await scene.state(), before);
});

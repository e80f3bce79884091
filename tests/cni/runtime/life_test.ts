/** R6, R7: attachments through removals, crashes, other processes and collections of garbage. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Garbage, isSandboxError } from "../../../mod.ts";
import { CniPluginError } from "../../../src/cni/runtime/mod.ts";
import { command } from "../../support/command.ts";
import { Site } from "./site.ts";

const RESULT = `echo '{"cniVersion":"1.0.0"}'`;

Deno.test("the cache has an attachment as the reference library writes it, from before the first plugin until after the last", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  const cache = `${site.directory}/cache/results`;
  const result = {
    cniVersion: "0.4.0",
    interfaces: [{ name: "net1", sandbox: sandbox.netnsPath }],
    ips: [{ version: "4", interface: 0, address: "10.1.2.3/24" }],
    dns: {},
  };
  site.plugin("one", {
    ADD: `cat ${cache}/* > ${site.directory}/before; echo '${
      JSON.stringify(result)
    }'`,
    DEL: `cat ${cache}/* > ${site.directory}/after`,
  });
  const conflist = {
    cniVersion: "0.4.0",
    name: "lan",
    plugins: [{ type: "one", capabilities: { mac: true } }],
  };
  const { containerId } = await sandbox.attach({
    ...site.place,
    conflist,
    args: { IgnoreUnknown: "1" },
    runtimeConfig: { mac: "02:00:00:00:00:01" },
  });
  const file = `lan-${containerId}-net1`;
  assertEquals(site.cached(), [file]);
  const read = (path: string) => JSON.parse(Deno.readTextFileSync(path));
  // libcni/api.go, cachedInfo: the keys and their order are those of its struct.
  const golden = {
    kind: "cniCacheV1",
    containerId,
    config: btoa(JSON.stringify(conflist)),
    ifName: "net1",
    networkName: "lan",
    netns: sandbox.netnsPath,
    cniArgs: [["IgnoreUnknown", "1"]],
    capabilityArgs: { mac: "02:00:00:00:00:01" },
    result,
  };
  assertEquals(
    Deno.readTextFileSync(`${cache}/${file}`),
    JSON.stringify(golden),
  );
  const { result: _, ...begun } = golden;
  assertEquals(read(`${site.directory}/before`), begun);
  assertEquals(
    [cache, `${cache}/${file}`].map((path) =>
      (Deno.statSync(path).mode ?? 0) & 0o777
    ),
    [0o700, 0o600],
  );
  await sandbox.detach("net1");
  assertEquals(read(`${site.directory}/after`), golden);
  assertEquals(site.cached(), []);
});

Deno.test("removing a sandbox detaches it first; a sandbox with containers keeps all it has", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one", { DEL: `[ -e "$CNI_NETNS" ] || exit 1` });
  const network = site.network([{ type: "one" }]);
  await sandbox.attach(network);
  await sandbox.attach({ ...network, name: "lan" });
  await sandbox.addContainer({ name: "app" });
  site.runs();
  const error = await assertRejects(() => sandbox.remove());
  assert(isSandboxError(error, "SandboxInUse"));
  assertEquals([site.said(), sandbox.attachments.length], [[], 2]);
  await sandbox.removeContainer("app");
  await sandbox.remove();
  const runs = site.runs();
  assertEquals(runs.map(({ command, ifName }) => [command, ifName]), [
    ["DEL", "lan"],
    ["DEL", "net1"],
  ]);
  assertEquals(site.cached(), []);
  assertEquals(await site.node.removeSandbox("web"), false);
  assertEquals(site.said(), []);
});

Deno.test("taking the node down with force detaches its sandboxes", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one");
  await sandbox.attach(site.network([{ type: "one" }]));
  await site.node.remove({ force: true });
  assertEquals(site.said(), ["one ADD", "one DEL"]);
  assertEquals(site.cached(), []);
});

Deno.test("a process that is killed while it attaches leaves a note that removal, creation, collection and the next attach follow", async (t) => {
  await using site = await Site.create();
  const network = site.network([{ type: "one" }, { type: "two" }]);
  /** Dies in the second plugin's ADD. */
  const die = async () => {
    await site.pod("web");
    site.plugin("one");
    site.plugin("two", { ADD: site.gate(RESULT) });
    const process = site.other({ attach: network });
    await site.awaitFile("begun");
    process.kill("SIGKILL");
    await process.status;
    await process.stdout.cancel();
    // The plugin outlives its runtime, and comes to its end.
    await site.open();
    site.plugin("two");
    assertEquals(site.said(), ["one ADD", "two ADD"]);
    await using sandbox = await site.node.openSandbox("web");
    assertEquals(sandbox.attachments.map(({ state }) => state), ["unfinished"]);
    assertEquals(site.cached().length, 1);
  };
  const assertNothing = () => {
    assertEquals(site.said(), ["two DEL", "one DEL"]);
    assertEquals(site.cached(), []);
  };
  await t.step("removal", async () => {
    await die();
    await site.node.removeSandbox("web");
    assertNothing();
  });
  await t.step("detaching", async () => {
    await die();
    const sandbox = await site.node.openSandbox("web");
    await sandbox.detach("net1");
    assertNothing();
    await sandbox.remove();
  });
  await t.step("the next attach", async () => {
    await die();
    const sandbox = await site.node.openSandbox("web");
    await sandbox.attach(network);
    assertEquals(site.said(), ["two DEL", "one DEL", "one ADD", "two ADD"]);
    await sandbox.remove();
    site.runs();
  });
  /** Its namespace is lost, as after a reboot with a state directory on disk. */
  const lose = async () => {
    await die();
    const { netnsPath } = await site.node.openSandbox("web");
    command(site.host.namespace, `umount ${netnsPath}`);
  };
  await t.step("creation over what is dead", async () => {
    await lose();
    const sandbox = await site.pod("web");
    const runs = site.runs();
    assertEquals(runs.map(({ command, netns }) => [command, netns]), [
      ["DEL", ""],
      ["DEL", ""],
    ]);
    assertEquals([sandbox.attachments, site.cached()], [[], []]);
    await sandbox.remove();
  });
  await t.step("collection of garbage", async () => {
    await lose();
    const kinds = (garbage: readonly Garbage[]) =>
      garbage.map(({ kind, removed }) => [kind, removed]);
    const dry = await site.node.collectGarbage({ dryRun: true });
    assertEquals(kinds(dry), [["sandbox", false]]);
    assertEquals(site.said(), []);
    // A plugin that fails keeps it from being forgotten.
    site.plugin("one", { DEL: "exit 1" });
    const stuck = await site.node.collectGarbage();
    assertEquals(kinds(stuck), [["sandbox", false]]);
    assertEquals(site.said(), ["two DEL", "one DEL"]);
    site.plugin("one");
    assertEquals(kinds(await site.node.collectGarbage()), [["sandbox", true]]);
    assertNothing();
    assertEquals(await site.node.listSandboxes(), []);
  });
});

Deno.test("what the cache has of a pod of an earlier boot is deleted before it is attached again", async () => {
  await using site = await Site.create();
  site.plugin("one");
  const network = site.network([{ type: "one", earlier: true }]);
  const before = await site.pod("web");
  await before.attach(network);
  const [file = ""] = site.cached();
  const cached = Deno.readTextFileSync(
    `${site.directory}/cache/results/${file}`,
  );
  await before.remove();
  Deno.writeTextFileSync(`${site.directory}/cache/results/${file}`, cached);
  site.runs();
  const sandbox = await site.pod("web");
  await sandbox.attach(site.network([{ type: "one", earlier: false }]));
  const runs = site.runs();
  assertEquals(
    runs.map(({ command, netns, input }) => [
      command,
      netns !== "",
      input["earlier"],
    ]),
    [["DEL", false, true], ["ADD", true, false]],
  );
});

Deno.test("two processes at one pod: one after the other, and both have it", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one", {
    ADD:
      `mkdir ${site.directory}/alone || exit 1; sleep 0.3; rmdir ${site.directory}/alone; ${RESULT}`,
  });
  const network = site.network([{ type: "one" }]);
  const others = [
    ...[1, 2].map(() => site.other({ attach: { ...network, name: "net1" } })),
    site.other({ attach: { ...network, name: "lan" } }),
  ];
  const said = await Promise.all(others.map(async (one) => {
    const { stdout } = await one.output();
    return JSON.parse(new TextDecoder().decode(stdout));
  }));
  assertEquals(said.map(({ name }) => name), ["net1", "net1", "lan"]);
  assertEquals(said[0], said[1]);
  assertEquals(site.said(), ["one ADD", "one ADD"]);
  assertEquals(sandbox.attachments.map(({ name }) => name).sort(), [
    "lan",
    "net1",
  ]);
  // While it is attached, nobody takes it away.
  site.plugin("one", { ADD: site.gate(RESULT) });
  const slow = sandbox.attach({ ...network, name: "slow" });
  await site.awaitFile("begun");
  // It is not finished, but it will be.
  assertEquals(await site.node.check(), []);
  const removing = site.other({ remove: true });
  await site.open();
  await slow;
  assertEquals((await removing.output()).success, true);
  assertEquals(site.said().filter((run) => run === "one DEL").length, 3);
  assertEquals(await site.node.listSandboxes(), []);
  assertEquals(site.cached(), []);
});

Deno.test("notes that cannot be read keep a sandbox, and what networks have, until it goes by force", async () => {
  await using site = await Site.create();
  site.plugin("one");
  const network = site.network([{ type: "one" }], { cniVersion: "1.1.0" });
  const sandbox = await site.pod("web");
  await sandbox.attach(network);
  const directory = sandbox.netnsPath.replace(/netns$/, "networks");
  for (const damage of ["rubbish", ""]) {
    Deno.writeTextFileSync(`${directory}/record.cbor`, damage);
    for (
      const attempt of [
        () => sandbox.remove(),
        () => sandbox.detach("net1"),
        () => sandbox.attach(network),
        () => site.node.collectNetworkGarbage(network),
      ]
    ) {
      const error = await assertRejects(attempt);
      assert(isSandboxError(error, "RecordInvalid"), `${error}`);
    }
    const [listed] = await site.node.listSandboxes();
    assertEquals(listed?.state, "damaged");
    assertEquals(await found(site), [
      `record ${directory}/record.cbor: podnet rm --force`,
    ]);
    assertEquals(await site.node.collectGarbage(), []);
  }
  assertEquals(site.said(), ["one ADD"]);
  await sandbox.remove({ force: true });
  assertEquals(await site.node.listSandboxes(), []);
  assertEquals(site.cached().length, 1);
  const { deleted } = await site.node.collectNetworkGarbage(network);
  assertEquals(deleted.length, 1);
  assertEquals(site.said(), ["one DEL", "one GC"]);
});

Deno.test("what somebody put in the place of a sandbox's notes keeps it until it goes by force, or is made anew", async () => {
  await using site = await Site.create();
  const put = async () => {
    const sandbox = await site.pod("web");
    const path = sandbox.netnsPath.replace(/netns$/, "networks");
    Deno.writeTextFileSync(path, "");
    return { sandbox, path };
  };
  const { sandbox, path } = await put();
  site.plugin("one");
  for (
    const attempt of [
      () => sandbox.remove(),
      () => sandbox.detach("net1"),
      () => sandbox.attach(site.network([{ type: "one" }])),
    ]
  ) {
    const error = await assertRejects(attempt);
    assert(isSandboxError(error, "StateUnusable"), `${error}`);
    assertEquals(error.context.path, path);
  }
  assertEquals(await found(site), [`directory ${path}: podnet rm --force`]);
  assertEquals(await site.node.collectGarbage(), []);
  await sandbox.remove({ force: true });
  assertEquals(await site.node.listSandboxes(), []);
  const { sandbox: dead } = await put();
  site.sh(`umount ${dead.netnsPath}`);
  await (await site.pod("web")).remove();
  assertEquals(await site.node.listSandboxes(), []);
});

Deno.test("what somebody put among the notes of a dead sandbox is not deleted, and none is made in its place", async () => {
  await using site = await Site.create();
  const dead = await site.pod("web");
  const path = dead.netnsPath.replace(/netns$/, "networks");
  await Deno.mkdir(`${path}/left/here`, { recursive: true });
  site.sh(`umount ${dead.netnsPath}`);
  for (const _ of [1, 2]) {
    const error = await assertRejects(() => site.pod("web"));
    assert(isSandboxError(error, "StateUnusable"), `${error}`);
    assertEquals(error.context.path, path);
  }
  await site.node.removeSandbox("web", { force: true });
  await Deno.stat(`${path}/left/here`);
  await Deno.remove(`${path}/left`, { recursive: true });
  await (await site.pod("web")).remove();
  assertEquals(await site.node.listSandboxes(), []);
});

Deno.test("GC: pods of this node that are no more are deleted; plugins are told what is valid, and others' is", async () => {
  await using site = await Site.create();
  site.plugin("one");
  const network = site.network([{ type: "one" }], { cniVersion: "1.1.0" });
  const sandbox = await site.pod("web");
  const { containerId } = await sandbox.attach(network);
  const results = `${site.directory}/cache/results`;
  const cached = JSON.parse(
    Deno.readTextFileSync(`${results}/net-${containerId}-net1`),
  );
  const put = (containerId: string, networkName = "net") =>
    Deno.writeTextFileSync(
      `${results}/${networkName}-${containerId}-net1`,
      JSON.stringify({ ...cached, containerId, networkName }),
    );
  const dead = containerId.slice(0, -1) + "x";
  put(dead);
  put("c1");
  put("c2", "other");
  Deno.writeTextFileSync(`${results}/net-rubbish-net1`, "rubbish");
  site.runs();
  assertEquals(await site.node.collectNetworkGarbage(network), {
    deleted: [{ containerID: dead, ifname: "net1" }],
    failures: [],
  });
  const [first, second, ...more] = site.runs();
  assertEquals([first?.command, first?.containerId], ["DEL", dead]);
  assertEquals(more, []);
  const valid = [
    { containerID: containerId, ifname: "net1" },
    { containerID: "c1", ifname: "net1" },
  ];
  assertEquals([second?.command, second?.input], ["GC", {
    type: "one",
    name: "net",
    cniVersion: "1.1.0",
    "cni.dev/valid-attachments": valid,
    "cni.dev/attachments": valid,
  }]);
  assertEquals(site.cached().length, 4);
  // Older versions have no GC, and a list may forbid it.
  const old = site.network([{ type: "one" }]);
  const forbidden = site.network([{ type: "one" }], {
    cniVersion: "1.1.0",
    disableGC: true,
  });
  for (const one of [old, forbidden]) {
    assertEquals(await site.node.collectNetworkGarbage(one), {
      deleted: [],
      failures: [],
    });
  }
  assertEquals(site.said(), []);
  // All plugins are told, whatever one of them says.
  site.plugin("one", { GC: "exit 1" });
  site.plugin("two");
  const both = site.network([{ type: "one" }, { type: "two" }], {
    cniVersion: "1.1.0",
  });
  const { failures } = await site.node.collectNetworkGarbage(both);
  assertEquals(
    failures.map((e) => e instanceof CniPluginError && [e.plugin, e.command]),
    [["one", "GC"]],
  );
  assertEquals(site.said(), ["one GC", "two GC"]);
});

Deno.test("GC waits for those who attach, and keeps them waiting", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  site.plugin("one", { ADD: site.gate(RESULT) });
  const network = site.network([{ type: "one" }], { cniVersion: "1.1.0" });
  const attaching = sandbox.attach(network);
  await site.awaitFile("begun");
  const collecting = site.node.collectNetworkGarbage(network);
  await site.open();
  const [{ containerId }] = await Promise.all([attaching, collecting]);
  const runs = site.runs();
  assertEquals(runs.map(({ command }) => command), ["ADD", "GC"]);
  assertEquals(runs[1]?.input["cni.dev/valid-attachments"], [
    { containerID: containerId, ifname: "net1" },
  ]);
});

/** What is wrong, and which command helps. */
async function found({ node }: Site): Promise<string[]> {
  return (await node.check()).map(({ object, remedy }) =>
    `${object}: ${/\((podnet .*)\)$/.exec(remedy)?.[1]}`
  );
}

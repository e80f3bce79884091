/** P14: GC takes away what of its network no valid attachment leads to. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { JsonObject } from "../../../src/cni/model/mod.ts";
import { type Attachment, PluginHost } from "./driver.ts";

/** The containers that have an attachment. */
async function attached(machine: PluginHost): Promise<string[]> {
  const listed = await machine.host.json("ls") as readonly {
    readonly name: string;
  }[];
  return listed.map(({ name }) => name).sort();
}

Deno.test("P14: a list that is missing keeps everything, an empty one nothing, of its own network only", async () => {
  await using machine = await PluginHost.start();
  const valid = (config: JsonObject, ...list: readonly Attachment[]) => ({
    ...config,
    "cni.dev/valid-attachments": list.map((
      { containerID, ifname = "eth0" },
    ) => ({ containerID, ifname })),
  });
  const one = machine.config({ name: "one" });
  const two = machine.config({ name: "two" });
  // Before there is a node.
  await machine.ok("GC", undefined, valid(one));
  const containers: Record<string, Attachment> = {};
  for (const name of ["a", "b", "c"]) {
    const netns = await machine.container(name);
    containers[name] = { containerID: name, netns };
    await machine.add({ containerID: name, netns }, name === "c" ? two : one);
  }
  await machine.host.ok("create", "no-container");
  const { a, b } = containers;
  if (a === undefined || b === undefined) throw new TypeError("no containers");
  await machine.ok("GC", undefined, one);
  // Null is what Go writes for a list that nobody made.
  await machine.ok("GC", undefined, {
    ...one,
    "cni.dev/valid-attachments": null,
  });
  // A list that is not understood, such as one with keys in Go's letter case, takes nothing away.
  for (
    const list of [
      ...[{}, "all", [null], [{}], [{ containerID: "a" }]],
      [{ ContainerID: "a", IfName: "eth0" }],
    ]
  ) {
    await machine.fails(7, "GC", undefined, {
      ...one,
      "cni.dev/valid-attachments": list,
    });
  }
  assertEquals(await attached(machine), ["a", "b", "c", "no-container"]);
  await machine.ok("GC", undefined, valid(one, a, b));
  assertEquals(await attached(machine), ["a", "b", "c", "no-container"]);
  // The interface counts too.
  await machine.ok("GC", undefined, valid(one, a, { ...b, ifname: "eth1" }));
  assertEquals(await attached(machine), ["a", "c", "no-container"]);
  assertEquals(await machine.sh("ip -n b -o link | wc -l"), "1\n");
  await machine.ok("GC", undefined, valid(one));
  assertEquals(await attached(machine), ["c", "no-container"]);
  await machine.ok("GC", undefined, valid(two));
  assertEquals(await attached(machine), ["no-container"]);
  // The older name of the key says nothing by itself.
  await machine.add(a, one);
  await machine.ok("GC", undefined, { ...one, "cni.dev/attachments": [] });
  assertEquals(await attached(machine), ["a", "no-container"]);
});

Deno.test("P14: GC goes past what it cannot read, and takes away what crashes left", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config();
  for (const name of ["a", "b", "c"]) {
    const netns = await machine.container(name);
    await machine.add({ containerID: name, netns }, config);
  }
  const records = (await machine.sh(
    `ls ${machine.host.stateDir}/test/sandboxes/*/record.cbor`,
  )).trim().split("\n");
  // A process died before it wrote the record.
  await machine.sh(`rm ${records[1]}`);
  await machine.ok("GC", undefined, {
    ...config,
    "cni.dev/valid-attachments": [],
  });
  assertEquals(await machine.traces(), []);
});

Deno.test("P14: what cannot be taken away is told, and keeps nothing else", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config();
  for (const name of ["a", "b", "c"]) {
    const netns = await machine.container(name);
    await machine.add({ containerID: name, netns }, config);
  }
  const none = { ...config, "cni.dev/valid-attachments": [] };
  const [stuck] = (await machine.sh(
    `ls ${machine.host.stateDir}/test/sandboxes/*/hosts`,
  )).trim().split("\n");
  await machine.sh(`mount --bind ${stuck} ${stuck}`);
  const { msg } = await machine.fails(999, "GC", undefined, none);
  assertStringIncludes(msg, String(stuck));
  assertEquals((await machine.traces()).length, 1);
  await machine.sh(`umount ${stuck}`);
  await machine.ok("GC", undefined, none);
  assertEquals(await machine.traces(), []);
});

/**
 * Notes of sandboxes that are being made: what a dead process leaves of one.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createLab } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";

Deno.test("a note that is half written counts for nothing, and a whole one that was not renamed is of a sandbox in the making", async () => {
  await using lab = await createLab();
  const { node } = nodeAt(lab.nodes, 0);
  await using made = await node.createSandbox({ name: "web", id: "web" });
  const directory = made.netnsPath.slice(0, made.netnsPath.lastIndexOf("/"));
  const record = `${directory}/record.cbor`;
  const note = `${directory}/creating.cbor`;
  const whole = Deno.readFileSync(record);

  Deno.removeSync(record);
  Deno.writeFileSync(note, whole, { mode: 0o600 });
  const [found] = await node.listSandboxes();
  assertEquals(found?.state, "creating");
  {
    await using again = await node.createSandbox({ name: "web", id: "web" });
    assertEquals(await node.check(), []);
    assert(again.createdAt > made.createdAt, "it was not made anew");
  }

  Deno.removeSync(record);
  Deno.writeFileSync(note, whole.subarray(0, 100), { mode: 0o600 });
  assertEquals(await node.listSandboxes(), []);
  await using last = await node.createSandbox({ name: "web", id: "web" });
  assertEquals(await node.check(), []);
  const files = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  assertEquals(files, ["hosts", "netns", "record.cbor", "resolv.conf"]);
  await last.remove();
  assertEquals(await node.listSandboxes(), []);
});

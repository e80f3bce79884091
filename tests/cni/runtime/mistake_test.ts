/** R7: plugins that refuse what they are told refuse it in DEL as well; who corrects the mistake gets rid of it. */
import { assertEquals, assertRejects } from "@std/assert";
import type { NetworkAttachmentSpec } from "../../../mod.ts";
import { CniPluginError } from "../../../src/cni/runtime/mod.ts";
import { Site } from "./site.ts";

/** Debian's bridge with addresses of a subnet. */
function network(site: Site, subnet: string): NetworkAttachmentSpec {
  return site.network([{
    type: "bridge",
    bridge: "cni-test",
    ipam: {
      type: "host-local",
      subnet,
      dataDir: `${site.directory}/host-local`,
    },
  }]);
}

/** A pod, what Debian's bridge refuses, and the same without the mistake. */
async function refused(site: Site) {
  const right = network(site, "10.88.0.0/24");
  const mistakes = {
    "a subnet that is none": network(site, "10.88.0.0/240"),
    "an unknown argument": { ...right, args: { A: "B" } },
  };
  const sandbox = await site.pod("web");
  const attach = async (wrong: NetworkAttachmentSpec) => {
    const error = await assertRejects(
      () => sandbox.attach(wrong),
      CniPluginError,
    );
    assertEquals([error.command, error.undoFailures.length], ["ADD", 1]);
    assertEquals(sandbox.attachments.map(({ state }) => state), ["unfinished"]);
    await assertRejects(() => sandbox.detach("net1"), CniPluginError);
    await assertRejects(() => sandbox.remove(), CniPluginError);
  };
  return { sandbox, right, mistakes: Object.entries(mistakes), attach };
}

Deno.test("what was refused goes when the network is attached without the mistake", async (t) => {
  await using site = await Site.create();
  const { sandbox, right, mistakes, attach } = await refused(site);
  for (const [name, wrong] of mistakes) {
    for (const wanted of [right, { ...right, name: "net1" }]) {
      await t.step(`${name}, ${wanted.name ?? "whatever name"}`, async () => {
        await attach(wrong);
        assertEquals((await sandbox.attach(wanted)).name, "net1");
        assertEquals(sandbox.attachments.map(({ state }) => state), ["ready"]);
        await sandbox.detach("net1");
        assertEquals(site.cached(), []);
      });
    }
  }
  await sandbox.remove();
});

Deno.test("what was refused goes by force, and by the network's next collection without the mistake", async (t) => {
  await using site = await Site.create();
  const { sandbox, right, mistakes, attach } = await refused(site);
  for (const [name, wrong] of mistakes) {
    await t.step(name, async () => {
      await attach(wrong);
      await sandbox.detach("net1", { force: true });
      assertEquals([sandbox.attachments, site.cached().length], [[], 1]);
      const { deleted, failures } = await site.node.collectNetworkGarbage(
        right,
      );
      assertEquals([deleted.length, failures], [1, []]);
      assertEquals(site.cached(), []);
    });
  }
  await sandbox.remove();
});

Deno.test("a collection by force forgets what plugins refuse to delete, and tells it", async () => {
  await using site = await Site.create();
  const { sandbox, mistakes: [[, wrong] = []], attach } = await refused(site);
  if (wrong === undefined) throw new Error("there is no mistake");
  await attach(wrong);
  await sandbox.remove({ force: true });
  const collect = async (force: boolean) => {
    const { deleted, failures } = await site.node.collectNetworkGarbage(wrong, {
      force,
    });
    return [deleted.length, failures.length, site.cached().length];
  };
  assertEquals(await collect(false), [0, 1, 1]);
  assertEquals(await collect(true), [1, 1, 0]);
  assertEquals(await collect(true), [0, 0, 0]);
});

Deno.test("what was made is deleted as it was made, or stays noted", async () => {
  await using site = await Site.create();
  const sandbox = await site.pod("web");
  const marked = (mark: string) => site.network([{ type: "one", mark }]);
  const refusesOld = `case $input in *old*) exit 1;; esac`;
  site.plugin("one", { DEL: refusesOld });
  await sandbox.attach(marked("old"));
  await assertRejects(() => sandbox.detach("net1"), CniPluginError);
  const again = { ...marked("new"), name: "net1" };
  await assertRejects(() => sandbox.attach(again), CniPluginError);
  await sandbox.remove({ force: true });
  const { deleted } = await site.node.collectNetworkGarbage(marked("new"));
  assertEquals([deleted, site.cached().length], [[], 1]);
  // Nor does another plugin delete what one has refused to.
  site.plugin("one", { ADD: "exit 1", DEL: "exit 1" });
  site.plugin("two");
  const other = await site.pod("db");
  await assertRejects(() => other.attach(marked("old")), CniPluginError);
  await assertRejects(
    () => other.attach({ ...site.network([{ type: "two" }]), name: "net1" }),
    CniPluginError,
  );
  assertEquals(other.attachments.map(({ state }) => state), ["unfinished"]);
  await other.remove({ force: true });
});

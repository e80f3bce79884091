/**
 * Symbolic links that somebody has planted where podnet removes directories that are left over.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { BareNode } from "../node/bare.ts";

Deno.test("symbolic links among what is left over lead nobody to remove what is elsewhere", async () => {
  await using bare = new BareNode();
  await using node = await bare.open();
  const target = Deno.makeTempDirSync({ prefix: "podnet-target-" });
  const names = () => [...Deno.readDirSync(target)].map(({ name }) => name);
  try {
    // What a sandbox's directory has.
    for (const name of ["netns", "hosts", "resolv.conf", "record.cbor"]) {
      Deno.writeTextFileSync(`${target}/${name}`, "");
    }
    const before = names().sort();
    const directory = `${bare.stateDir}/bare`;
    const places = [
      "removed/pn-0123456789ab",
      "warm/0123/4567",
      "warm/pool",
      "sandboxes/web",
    ];
    for (const place of places) {
      const path = `${directory}/${place}`;
      Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      Deno.symlinkSync(target, path);
    }
    await node.collectGarbage({ force: true });
    assertEquals(names().sort(), before);
    await node.removeSandbox("web", { force: true }).catch(() => {});
    assertEquals(names().sort(), before);
    {
      await using again = await bare.open({});
      assertEquals(await again.check(), []);
    }
    await node.remove({ force: true });
    assertEquals(names().sort(), before);
  } finally {
    Deno.removeSync(target, { recursive: true });
  }
});

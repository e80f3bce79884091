/**
 * A node is closed while much is being done by it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readDirectory } from "../../ffi/file.ts";
import { isSandboxError } from "../../mod.ts";
import { BareNode } from "./bare.ts";
import { settled, until } from "../support/patience.ts";

function descriptors(): string {
  return `${readDirectory("/proc/self/fd").length} are open`;
}

/** How many turns of the event loop what was begun has before the node is closed. */
for (const turns of [0, 1, 2, 4, 8]) {
  Deno.test(`a node that is closed ${turns} turns after much was begun leaves nothing open, and everything whole`, async () => {
    await using bare = new BareNode();
    await using other = await bare.open();
    const state = bare.state();
    for (const name of ["a", "b", "c"]) await other.createSandbox({ name });
    const before = descriptors();
    const node = await bare.open({ warm: 2 });
    await until(() => node.warm.ready === 2);
    const a = await node.openSandbox("a");
    const ports = [{ hostPort: 8080, containerPort: 80 }];
    const begun = Promise.allSettled([
      node.createSandbox({ name: "x", ports }),
      node.createSandbox({ name: "y" }),
      node.createSandbox({ name: "z" }),
      node.removeSandbox("b"),
      node.removeSandbox("c"),
      a.addPorts([{ hostPort: 8081, containerPort: 80 }]),
      node.repair(),
      node.collectGarbage(),
    ]);
    for (let i = 0; i < turns; i++) {
      await new Promise((turn) => setImmediate(turn));
    }
    await node[Symbol.asyncDispose]();
    for (const outcome of await begun) {
      if (outcome.status === "fulfilled") continue;
      const { reason } = outcome;
      assert(isSandboxError(reason, "NodeClosed"), `${reason}`);
    }
    // The end of a removal comes a turn later.
    assertEquals(await settled(descriptors, before), before);
    await other.repair();
    assertEquals(await other.check(), []);
    for (const { id } of await other.listSandboxes()) {
      await other.removeSandbox(id, { force: true });
    }
    assertEquals(await other.collectGarbage(), []);
    assertEquals(await settled(() => bare.state(), state), state);
  });
}

/**
 * A node that is set up or taken down by a process that is killed, or in which a call fails, at any step: opening it again
 * makes it whole, and taking it down leaves nothing.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { openNode, removeNode } from "../../mod.ts";
import { BareNode } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { Victims } from "./deaths.ts";
import { placesOf, runWith } from "./injection.ts";
import { NODE_OPERATIONS, POD_CIDRS, type Scene } from "./operations.ts";
import { EVERY } from "./scale.ts";
import { settled } from "../support/patience.ts";

type Operation = "nodeUp" | "nodeDown";

const DEATHS: Readonly<Record<Operation, number>> = { nodeUp: 8, nodeDown: 8 };
const FAILURES: Readonly<Record<Operation, number>> = {
  nodeUp: 25,
  nodeDown: 25,
};

function sceneOf({ reference, path, stateDir }: BareNode): Scene {
  const node = { name: reference.name, netns: path, stateDir };
  return { node, sandbox: "victim", adopted: "", network: { conflist: "" } };
}

/** Makes what the operation acts on. */
async function prepare(operation: Operation, bare: BareNode): Promise<void> {
  if (operation === "nodeUp") return;
  await using node = await bare.open();
  await node.createSandbox({
    name: "victim",
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
}

/** Everything that its namespace, its directory and the mounts hold. */
function stateOf({ namespace, stateDir }: BareNode): string[] {
  const inside = command(
    namespace,
    `ip -o -d link; ip -o addr; ip route show table all; ip neigh
     nft list ruleset; find ${stateDir}`,
  );
  const mounts = Deno.readTextFileSync("/proc/thread-self/mountinfo");
  return (inside + mounts).split("\n");
}

/** The node is as if it had never been set up. */
async function assertUntouched(
  bare: BareNode,
  before: readonly string[],
  why: string,
): Promise<void> {
  assertEquals(await settled(() => stateOf(bare), before), before, why);
}

/** Opens the node once more, and uses it. */
async function assertUsable(bare: BareNode): Promise<void> {
  await using node = await openNode({
    ...bare.reference,
    podCidrs: POD_CIDRS,
  });
  await node.collectGarbage();
  // A sandbox may be half removed.
  await node.repair();
  await node.createSandbox({ name: "afterwards" });
  assertEquals(await node.check(), []);
}

for (const operation of ["nodeUp", "nodeDown"] as const) {
  Deno.test(`${operation} leaves a node that can be opened or taken down after a death at any of its steps`, async (t) => {
    await using victims = new Victims();
    let deaths = 0;
    for (let point = 0, last = false; !last; point++) {
      for (const way of EVERY ? ["open", "remove"] : [deaths % 2]) {
        await using bare = new BareNode();
        const before = stateOf(bare);
        await prepare(operation, bare);
        const death = await victims.die({
          operation,
          scene: sceneOf(bare),
          point,
          counting: EVERY ? "calls" : "changes",
        });
        last = death.isLast;
        deaths++;
        const where = `${operation}: ${death.lastWords}`;
        try {
          if (way === "open" || way === 0) await assertUsable(bare);
          await removeNode({ ...bare.reference, force: true });
        } catch (cause) {
          throw new Error(where, { cause });
        }
        await assertUntouched(bare, before, where);
      }
    }
    await t.step(
      `${operation}: ${deaths} deaths`,
      () => assert(deaths >= DEATHS[operation], `only ${deaths}`),
    );
  });

  Deno.test(`${operation} fails as the call in it that failed, and nothing is lost`, async (t) => {
    const run = (bare: BareNode) => () =>
      NODE_OPERATIONS[operation](sceneOf(bare));
    await using example = new BareNode();
    await prepare(operation, example);
    const places = await placesOf(run(example));
    let failures = 0;
    for (const place of places) {
      await using bare = new BareNode();
      const before = stateOf(bare);
      await prepare(operation, bare);
      const outcome = await runWith(place, run(bare));
      if (outcome === undefined) continue;
      failures++;
      const where = `${operation}: ${outcome.where}`;
      try {
        if (operation === "nodeUp" && outcome.error !== undefined) {
          await assertUntouched(bare, before, where);
        }
        await run(bare)();
        // Now and then with a pod, too.
        if (failures % 8 === 1) await assertUsable(bare);
        await removeNode({ ...bare.reference, force: true });
      } catch (cause) {
        throw new Error(where, { cause });
      }
      await assertUntouched(bare, before, where);
    }
    await t.step(
      `${operation}: ${failures} failures`,
      () => assert(failures >= FAILURES[operation], `only ${failures}`),
    );
  });
}

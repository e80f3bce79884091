/**
 * Paths that are made or taken away by a process that is killed, or in which a call fails, at any step: doing it again makes
 * them whole, and taking them away leaves nothing.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ClusterPaths, type Node, removeNode } from "../../mod.ts";
import { BareNode } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { Victims } from "./deaths.ts";
import { placesOf, runWith } from "./injection.ts";
import { MEMBERS, PATH_OPERATIONS, type Scene } from "./operations.ts";
import { EVERY } from "./scale.ts";

type Operation = keyof typeof PATH_OPERATIONS;

const DEATHS: Readonly<Record<Operation, number>> = {
  pathsUp: 6,
  pathsDown: 8,
};
const FAILURES: Readonly<Record<Operation, number>> = {
  pathsUp: 5,
  pathsDown: 6,
};
/** Of the failures one in so many is tried. */
const STRIDE = EVERY ? 1 : 3;

function sceneOf({ reference, path, stateDir }: BareNode): Scene {
  const node = { name: reference.name, netns: path, stateDir };
  return { node, sandbox: "victim", adopted: "", network: { conflist: "" } };
}

/** What paths are made of, and the notes about them. */
function stateOf({ namespace, stateDir }: BareNode): string {
  return command(
    namespace,
    `ip -o link; ip -o addr; ip route show table all; ip -6 route show table all
     ip rule; ip -6 rule; nft list ruleset; find ${stateDir} -name '*.tmp'`,
  );
}

async function prepare(operation: Operation, node: Node): Promise<void> {
  if (operation === "pathsDown") await PATH_OPERATIONS.pathsUp(node);
}

/** Goes on in this process: whatever there is becomes whole, and goes. */
async function goOn(node: Node, bare: BareNode, before: string): Promise<void> {
  const paths = ClusterPaths.open(node);
  await paths.apply(MEMBERS[0], MEMBERS);
  assertEquals(await paths.check(), []);
  assertEquals(await node.check(), []);
  await leave(node, bare, before);
}

async function leave(node: Node, bare: BareNode, before: string) {
  await ClusterPaths.open(node).remove();
  assertEquals(await node.check(), []);
  assertEquals(stateOf(bare), before);
}

for (const operation of ["pathsUp", "pathsDown"] as const) {
  Deno.test(`${operation} is finished or taken away after a death at any of its steps`, async (t) => {
    await using victims = new Victims();
    await using bare = new BareNode();
    await using node = await bare.open();
    const before = stateOf(bare);
    let deaths = 0;
    for (let point = 0, last = false; !last; point++) {
      await prepare(operation, node);
      const death = await victims.die({
        operation,
        scene: sceneOf(bare),
        point,
        counting: EVERY ? "calls" : "changes",
      });
      last = death.isLast;
      deaths++;
      try {
        if (deaths % 2 === 0) await leave(node, bare, before);
        else await goOn(node, bare, before);
      } catch (cause) {
        throw new Error(`${operation}: ${death.lastWords}`, { cause });
      }
    }
    await t.step(
      `${operation}: ${deaths} deaths`,
      () => assert(deaths >= DEATHS[operation], `only ${deaths}`),
    );
  });

  Deno.test(`${operation} fails as the call in it that failed, and can be repeated`, async (t) => {
    await using bare = new BareNode();
    await using node = await bare.open();
    const before = stateOf(bare);
    const run = () => PATH_OPERATIONS[operation](node);
    await prepare(operation, node);
    const places = await placesOf(run);
    await leave(node, bare, before);
    let failures = 0;
    for (const [i, place] of places.entries()) {
      if (i % STRIDE !== 0) continue;
      await prepare(operation, node);
      const outcome = await runWith(place, run);
      if (outcome === undefined) {
        await leave(node, bare, before);
        continue;
      }
      failures++;
      try {
        await goOn(node, bare, before);
      } catch (cause) {
        throw new Error(`${operation}: ${outcome.where}`, { cause });
      }
    }
    await t.step(
      `${operation}: ${failures} failures`,
      () => assert(failures >= FAILURES[operation], `only ${failures}`),
    );
  });
}

Deno.test("a node whose process died while it made paths is taken down with all of them", async () => {
  await using victims = new Victims();
  for (const point of [3, 5, 7]) {
    await using bare = new BareNode();
    const before = stateOf(bare);
    await (await bare.open())[Symbol.asyncDispose]();
    const scene = sceneOf(bare);
    await victims.die({
      operation: "pathsUp",
      scene,
      point,
      counting: "changes",
    });
    await removeNode({ ...bare.reference });
    assertEquals(stateOf(bare), before);
  }
});

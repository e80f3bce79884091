/**
 * Eight processes that set a node up, take it down or use it at the same moment.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isSandboxError, type NodeOptions, openNode } from "../../mod.ts";
import { BareNode, POD_CIDRS } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { settled } from "../support/patience.ts";
import {
  Agents,
  type Order,
  type Outcome,
  refusalsOf,
  valuesOf,
} from "./agents.ts";

const PROCESSES = 8;
/** Whether they meet is a matter of microseconds. */
const ROUNDS = 4;

const isEven = (number: number) => number % 2 === 0;

let agents: Agents;

Deno.test.beforeAll(() => {
  agents = Agents.start(PROCESSES);
});

Deno.test.afterAll(() => agents[Symbol.asyncDispose]().then());

/** What other processes need to open the node. */
function options(bare: BareNode, more: NodeOptions = {}): NodeOptions {
  return {
    ...bare.reference,
    netns: bare.path,
    podCidrs: POD_CIDRS,
    ...more,
  };
}

function open(node: NodeOptions): Order {
  return { action: "open", node };
}

/**
 * Runs rounds of a race on a namespace that is made a node before, unless it is the race that makes it. Whatever becomes
 * of the node, it is then wholly there or wholly gone, and nothing is left when it is taken down.
 */
async function rounds(
  { isOpenBefore }: { readonly isOpenBefore: boolean },
  orderOf: (number: number, bare: BareNode) => Order,
  judge: (outcomes: readonly Outcome[], isUp: boolean) => void,
): Promise<void> {
  await using bare = new BareNode();
  // The first node switches forwarding on for good.
  {
    await using node = await bare.open();
    await node.remove();
  }
  const before = bare.state();
  for (let round = 0; round < ROUNDS; round++) {
    if (isOpenBefore) await agents.race(() => open(options(bare)));
    const outcomes = await agents.race((number) => orderOf(number, bare));
    const isUp = await assertWhole(bare);
    judge(outcomes, isUp);
    if (isUp) {
      await using node = await openNode(bare.reference);
      await node.remove({ force: true });
    }
    // The kernel destroys the links of removed pods on its own time.
    assertEquals(await settled(() => bare.state(), before), before);
  }
}

/** Whether the node is there; if so all of it, and if not nothing of it. */
async function assertWhole(bare: BareNode): Promise<boolean> {
  try {
    await using node = await openNode(bare.reference);
    assertEquals(node.changes, []);
    assertEquals(await node.check(), []);
    return true;
  } catch (error) {
    if (!isSandboxError(error, "NodeNotFound")) throw error;
    return false;
  }
}

Deno.test(`openNode() of ${PROCESSES} processes at once sets one node up`, () =>
  rounds(
    { isOpenBefore: false },
    (_, bare) => open(options(bare)),
    (outcomes, isUp) => {
      assert(isUp);
      const changes = valuesOf<readonly string[]>(outcomes);
      assertEquals(changes.length, PROCESSES);
      // One made it, and the others found it made.
      assertEquals(
        changes.filter((list) =>
          list.includes("added nf_tables table inet podnet")
        ).length,
        1,
      );
    },
  ));

Deno.test(`openNode() of ${PROCESSES} processes with two pod CIDRs sets one of them up, and refuses the other`, () =>
  rounds(
    { isOpenBefore: false },
    (number, bare) =>
      open(options(bare, {
        podCidrs: isEven(number) ? POD_CIDRS : ["10.98.0.0/24"],
      })),
    (outcomes, isUp) => {
      assert(isUp);
      assertEquals(valuesOf(outcomes).length, PROCESSES / 2);
      const refusals = refusalsOf(outcomes, "NodeConflict");
      assertEquals(refusals.length, PROCESSES / 2);
      for (const { name } of refusals) assertEquals(name, "bare");
    },
  ));

Deno.test(`openNode() of ${PROCESSES} processes by two names makes one of them the namespace's node, and the other leaves nothing`, async () => {
  await using bare = new BareNode();
  const stateDirs = () =>
    command(bare.namespace, `ls ${bare.stateDir}`).split("\n").filter(Boolean);
  for (let round = 0; round < ROUNDS; round++) {
    const outcomes = await agents.race((number) =>
      open(options(bare, { name: isEven(number) ? "even" : "odd" }))
    );
    assertEquals(valuesOf(outcomes).length, PROCESSES / 2);
    for (const { reason } of refusalsOf(outcomes, "NodeConflict")) {
      const [winner = ""] = stateDirs();
      assert(reason.includes(`node "${winner}"`), reason);
    }
    const [winner, ...others] = stateDirs();
    assertEquals(others, []);
    await using node = await openNode({
      ...bare.reference,
      name: winner ?? "",
    });
    assertEquals(await node.check(), []);
    await node.remove();
    assertEquals(stateDirs(), []);
  }
});

for (const force of [false, true]) {
  Deno.test(`Node.remove(${force ? "{ force: true }" : ""}) against createSandbox() of other processes leaves a whole node or none`, () =>
    rounds(
      { isOpenBefore: true },
      (number) =>
        isEven(number)
          ? { action: "removeNode", force }
          : { action: "create", spec: { name: `pod-${number}` } },
      (outcomes, isUp) => {
        const removals = outcomes.filter((_, number) => isEven(number));
        const creations = outcomes.filter((_, number) => !isEven(number));
        const removed = valuesOf(removals).length;
        const made = valuesOf(creations).length;
        refusalsOf(creations, "NodeNotFound");
        for (const { reason } of refusalsOf(removals, "NodeConflict")) {
          assert(/^it has \d+ sandbox/.test(reason), reason);
        }
        // Who finds the node gone has nothing to remove, and succeeds.
        assertEquals(removed > 0, !isUp);
        if (!force) assertEquals(made > 0, isUp);
      },
    ));
}

Deno.test("openNode() against Node.remove() of other processes sets the node up anew or finds it", () =>
  rounds(
    { isOpenBefore: true },
    (number, bare) =>
      isEven(number)
        ? { action: "removeNode", force: false }
        : open(options(bare)),
    (outcomes) => {
      const opened = outcomes.filter((_, number) => !isEven(number));
      assertEquals(valuesOf(opened).length, PROCESSES / 2);
      assertEquals(valuesOf(outcomes).length, PROCESSES);
    },
  ));

Deno.test("openNode() without pod CIDRs against Node.remove() of other processes finds the node or not", () =>
  rounds(
    { isOpenBefore: true },
    (number, bare) => {
      if (number === 0) return { action: "removeNode", force: false };
      const { podCidrs: _, ...reference } = options(bare);
      return open(reference);
    },
    (outcomes, isUp) => {
      assertEquals(isUp, false);
      refusalsOf(outcomes.slice(1), "NodeNotFound");
    },
  ));

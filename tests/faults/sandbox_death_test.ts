/**
 * A process that is killed in the middle of an operation, wherever that is: the same call again gives the full, correct
 * sandbox, and garbage collection takes away what there is too much of.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Case, CASES, type Operation } from "./cases.ts";
import { type Death, Victims } from "./deaths.ts";
import { SANDBOX_OPERATIONS } from "./operations.ts";
import { EVERY } from "./scale.ts";
import { World } from "./world.ts";

/** How things go on after the death. */
const WAYS = ["again", "garbage"] as const;
type Way = typeof WAYS[number];

/** Fewer deaths than this mean that the test does not test any more. */
const FLOORS: Readonly<Record<Operation, number>> = {
  create: 20,
  claim: 30,
  adopt: 20,
  remove: 6,
  removeAsOneOfMany: 9,
  forceRemove: 6,
  addPorts: 6,
  removePorts: 5,
  limit: 5,
  unlimit: 5,
  attach: 8,
  detach: 8,
  attachNetwork: 8,
  detachNetwork: 4,
  addContainer: 4,
  repair: 4,
  collectGarbage: 10,
};

/** While a file is written beside the one it replaces, deaths differ in nothing but that file. */
const BESIDE = /^before (open|fchmod|write) .*\.tmp$/;

/** Of these, one way on is tried at each place, and the other at the next. */
const TAKING_TURNS: readonly Operation[] = [
  "claim",
  "adopt",
  "attach",
  "detach",
  "attachNetwork",
  "detachNetwork",
  "remove",
  "removeAsOneOfMany",
  "forceRemove",
  "collectGarbage",
];

/** Whether the second way on after the same death is left to `deno task faults`. */
function isEnough(operation: Operation, lastWords: string): boolean {
  return lastWords !== "" && !EVERY &&
    (TAKING_TURNS.includes(operation) || BESIDE.test(lastWords));
}

/** Finishes what was interrupted, and looks at the result. */
async function goOn(world: World, c: Case, way: Way): Promise<void> {
  if (way === "again") {
    const made = await SANDBOX_OPERATIONS[c.operation](
      world.node,
      world.scene,
    );
    if (typeof made === "object" && Symbol.asyncDispose in made) {
      await made[Symbol.asyncDispose]();
    }
    await world.assertHealthy();
    await c.assertDone(world);
  } else {
    await world.node.collectGarbage();
    // What lives, but not as it should: its notes tell what it is to be.
    await world.node.repair();
    await world.detachUnfinished();
    await world.assertHealthy();
  }
}

for (const c of CASES) {
  const { operation } = c;
  Deno.test(`${operation} is finished or taken away after a death at any of its steps`, async (t) => {
    await using world = await World.create();
    await using victims = new Victims();
    const before = world.state();
    const places = new Set<string>();
    let deaths = 0;
    for (let point = 0, last = false; !last; point++) {
      let lastWords = "";
      for (const at of WAYS.keys()) {
        const way = WAYS[(point + at) % WAYS.length] ?? "again";
        if (isEnough(operation, lastWords)) break;
        await c.prepare(world);
        const death: Death = await victims.die({
          operation,
          scene: world.scene,
          point,
          counting: EVERY ? "calls" : "changes",
        });
        lastWords = death.lastWords;
        last = death.isLast;
        places.add(lastWords);
        deaths++;
        const where = `${operation}: ${lastWords}, then ${way}`;
        try {
          await goOn(world, c, way);
        } catch (cause) {
          throw new Error(where, { cause });
        }
        // The next whole record takes it away, but what the operation does again may be a change that is added.
        const unfinished = world.state().filter((line) =>
          line.includes(".tmp") &&
          !(way === "again" && line.includes("record.cbor.tmp"))
        );
        assertEquals(unfinished, [], where);
        await world.clear();
        await world.assertState(before, where);
      }
    }
    await t.step(
      `${operation}: ${deaths} deaths, ${places.size} kinds of place`,
      () => assert(deaths >= FLOORS[operation], `only ${deaths} deaths`),
    );
  });
}

/**
 * A call of the C library or a netlink message that fails in the middle of an operation, in any way it can: the error is
 * thrown as it is, everything is as before, and the same call without the failure succeeds.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Case, CASES, type Operation } from "./cases.ts";
import { placesOf, runWith, runWithTwo, undoFailuresOf } from "./injection.ts";
import { SANDBOX_OPERATIONS } from "./operations.ts";
import { EVERY } from "./scale.ts";
import { World } from "./world.ts";

/** Fewer failures than this mean that the test does not test any more. */
const FLOORS: Readonly<Record<Operation, number>> = {
  create: 25,
  claim: 35,
  adopt: 25,
  remove: 15,
  removeAsOneOfMany: 20,
  forceRemove: 15,
  addPorts: 12,
  removePorts: 12,
  limit: 10,
  unlimit: 10,
  attach: 15,
  detach: 15,
  attachNetwork: 15,
  detachNetwork: 15,
  addContainer: 8,
  repair: 30,
  collectGarbage: 30,
};

/** So many times looks are taken at connections, too. */
const THOROUGHLY = 25;

function runner(world: World, { operation }: Case): () => Promise<void> {
  return async () => {
    const made = await SANDBOX_OPERATIONS[operation](world.node, world.scene);
    if (typeof made === "object" && Symbol.asyncDispose in made) {
      await made[Symbol.asyncDispose]();
    }
  };
}

for (const c of CASES) {
  const { operation } = c;
  Deno.test(`${operation} fails as the call in it that failed, and changes nothing then`, async (t) => {
    await using world = await World.create();
    const before = world.state();
    const run = runner(world, c);
    await c.prepare(world);
    const places = await placesOf(run);
    await world.clear();
    let failures = 0;
    for (const place of places) {
      await c.prepare(world);
      const had = world.quick();
      const outcome = await runWith(place, run);
      if (outcome !== undefined) {
        const where = `${operation}: ${outcome.where}`;
        failures++;
        try {
          const failed = outcome.error !== undefined;
          if (failed && c.allOrNothing) {
            assertEquals(world.quick(), had, where);
          }
          // What does many things may leave one of them for the next time.
          if (failed || !c.allOrNothing) await run();
          await world.assertHealthy();
          if (failures % THOROUGHLY === 1) await c.assertDone(world);
        } catch (cause) {
          throw new Error(where, { cause });
        }
      }
      await world.clear();
    }
    if (operation === "claim") {
      // A pool that could not be removed goes when the next one comes.
      await run();
      await world.clear();
    }
    await world.assertState(before, operation);
    await t.step(
      `${operation}: ${failures} failures`,
      () => assert(failures >= FLOORS[operation], `only ${failures} failures`),
    );
  });
}

/** Those that have something to undo. */
const UNDOING: readonly Operation[] = [
  "create",
  "adopt",
  "addPorts",
  "removePorts",
  "limit",
  "unlimit",
  "attach",
  "attachNetwork",
];

for (const c of CASES.filter((c) => UNDOING.includes(c.operation))) {
  const { operation } = c;
  Deno.test(`${operation} tells the first error when undoing fails as well, and garbage collection takes the rest`, async (t) => {
    await using world = await World.create();
    const before = world.state();
    const run = runner(world, c);
    let failures = 0;
    let told = 0;
    // Adding ports is not much more than the note and the claim.
    const all = EVERY || operation === "addPorts";
    const [from, step] = all ? [0, 1] : [3, 8];
    for (let first = from, ended = false; !ended; first += step) {
      for (let second = 0, both = true; both; second++) {
        await c.prepare(world);
        const outcome = await runWithTwo({ first, second }, run);
        const where = `${operation}: ${outcome.where}`;
        both = outcome.both;
        ended = outcome.where === "";
        if (both) failures++;
        if (undoFailuresOf(outcome.error).length > 0) told++;
        try {
          await world.node.collectGarbage();
          await world.node.repair();
          await world.detachUnfinished();
          await world.assertHealthy();
          await world.clear();
          await world.assertState(before, where);
        } catch (cause) {
          throw new Error(where, { cause });
        }
      }
    }
    await t.step(`${operation}: ${failures} double failures`, () => {
      assert(failures > 2, `only ${failures}`);
      assert(told > 0, "none of them was told");
    });
  });
}

/**
 * Many processes at random on one node; `deno task churn` does the same for minutes.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { churnAndCheck } from "./churn_and_check.ts";

const SEED = Date.now() % 1_000_000;

Deno.test("4 processes that create, change and remove 80 sandboxes at random, 12 times killed, leave every address and port with one owner, and nothing in the end", async () => {
  const { killed } = await churnAndCheck({
    seed: SEED,
    processes: 4,
    names: 80,
    operations: 180,
    kills: 12,
  });
  assertEquals(killed, 12);
});

Deno.test("check(), repair() and collectGarbage() find nothing while 4 processes create, change and remove sandboxes", async () => {
  const { found, counts } = await churnAndCheck({
    seed: SEED + 1,
    processes: 4,
    names: 40,
    operations: 150,
    kills: 0,
  });
  assertEquals(found, []);
  for (const operation of ["check", "repair", "collectGarbage"]) {
    assert((counts[operation] ?? 0) > 0, operation);
  }
});

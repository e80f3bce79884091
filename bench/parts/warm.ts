/**
 * Claims from a pool of namespaces that were made ahead, each with its link.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { PODS_UNTIL_COMPILED } from "../compile.ts";
import type { Driver } from "../driver.ts";
import { Series, takeTurns } from "../rounds.ts";
import { LIMIT, start } from "../subjects.ts";

/** How many namespaces there are. */
export const POOL = 20;
const WARM_UP = PODS_UNTIL_COMPILED / POOL;
/** Milliseconds: a pool is filled again in less. */
const REFILL_MS = 150;
/** What a program that uses a pool does between claims, or nothing at all. */
const IDLE_MS = 500;

/** Fills the pool: the reference when told to, podnet by itself when nothing else is to be done. */
export async function fill(
  driver: Driver,
  first: number,
  ms: number = IDLE_MS,
): Promise<void> {
  if (driver.name === LIMIT) await driver.ask("fill", first, POOL);
  else await driver.ask("idle", ms);
}

/** Until the code that claims is compiled. */
export async function compileClaims(drivers: readonly Driver[]): Promise<void> {
  for (const driver of drivers) {
    if (driver.name === LIMIT) continue;
    for (let round = 0; round < WARM_UP; round++) {
      // Others than are measured: the kernel still destroys the last ones.
      const first = 10_000 + round * POOL;
      await fill(driver, first, REFILL_MS);
      await driver.ask("create", first, POOL, 1, 20_000);
      await driver.ask("remove", first, POOL);
      await settleWith(driver, 2 * POOL);
    }
  }
}

/** Waits until no more than so many links are left of pods and pools; a node has some of its own. */
export async function settleWith(
  driver: Driver,
  links: number,
): Promise<void> {
  await driver.settle(10 + links);
}

/** Adds rows for creation from a warm pool, when this podnet has one. */
export async function measureWarm(bench: Bench): Promise<void> {
  await using open = new AsyncDisposableStack();
  let podnet: Driver;
  try {
    podnet = open.use(await start("podnet", { warm: POOL }));
  } catch {
    bench.say("this podnet has no warm pool");
    return;
  }
  const drivers = [podnet, open.use(await start(LIMIT))];
  await compileClaims(drivers);
  bench.say(`claims from a pool of ${POOL}`);
  const series = new Series();
  await takeTurns(
    drivers,
    bench.size(4, 12),
    2,
    async (driver, round, warm) => {
      const first = round * POOL;
      await fill(driver, first);
      const laps = await driver.laps("create", first, POOL, 1, 20_000);
      if (warm) series.add(driver.name, "create", laps);
      await driver.ask("remove", first, POOL);
      await new Promise((resolve) => setTimeout(resolve, 300));
    },
  );
  for (const { name } of drivers) {
    const { wall, cpu } = series.get(name, "create");
    const row = { measure: "create from a pool", subject: name, unit: "µs" };
    bench.results.add({ ...row, conditions: { pool: POOL } }, wall, cpu);
  }
}

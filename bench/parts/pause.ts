/**
 * What pods cost a process that had nothing to do for a while, as a runtime's
 * mostly has: V8 collects all garbage then, and what it has compiled with it
 * unless somebody sees to that.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { compile } from "../compile.ts";
import type { Driver } from "../driver.ts";
import { addRows, Series, takeTurns } from "../rounds.ts";
import { LIMIT, start } from "../subjects.ts";
import { PODS_A_TURN, turn, TURN_VERBS } from "../turn.ts";

/** V8 begins after 8 s. */
const PAUSE_MS = 20_000;

/** Adds rows for pods before a pause and after it. */
export async function measurePause(bench: Bench): Promise<void> {
  const rounds = bench.size(3, 20);
  await using open = new AsyncDisposableStack();
  const drivers: Driver[] = [];
  for (const subject of ["podnet", ...bench.versions, LIMIT]) {
    drivers.push(open.use(await start(subject)));
  }
  for (const driver of drivers) {
    if (driver.name !== LIMIT) await compile(driver);
  }
  let next = 0;
  const conditions = [
    ["before a pause", 0],
    [`after a pause of ${PAUSE_MS / 1000} s`, PAUSE_MS],
  ] as const;
  for (const [which, pauseMs] of conditions) {
    bench.say(`pods ${which}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    const series = new Series();
    await takeTurns(drivers, rounds, 0, async (driver) => {
      await turn(driver, next += PODS_A_TURN, 1, series);
    });
    for (const verb of TURN_VERBS) {
      const measured = {
        measure: `${verb}, and pauses`,
        conditions: { which },
      };
      addRows(bench, drivers, verb, measured, series);
    }
  }
}

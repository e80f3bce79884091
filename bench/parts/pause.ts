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
import { Series, takeTurns } from "../rounds.ts";
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
  for (const which of ["before a pause", "after a pause of 20 s"]) {
    bench.say(`pods ${which}`);
    const series = new Series();
    await takeTurns(drivers, rounds, 0, async (driver) => {
      await turn(driver, next += PODS_A_TURN, 1, series);
    });
    for (const verb of TURN_VERBS) {
      for (const { name } of drivers) {
        const { wall, cpu } = series.get(name, verb);
        bench.results.add(
          {
            measure: `${verb}, and pauses`,
            subject: name,
            conditions: { which },
            unit: "µs",
          },
          wall,
          cpu,
        );
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/**
 * Adding a host port to a pod while the node has thousands of them.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { PODS_UNTIL_COMPILED } from "../compile.ts";
import type { Driver } from "../driver.ts";
import { Series, takeTurns } from "../rounds.ts";
import { LIMIT, start } from "../subjects.ts";

/** Of each pod that is there to have ports: podnet's limit is 1024. */
const PORTS_A_POD = 1000;
const FIRST_PORT = 1024;
/** Above those of 60 such pods. */
const ADDED_PORT = 62_000;
/** Pods that get a port and lose it again. */
const MEASURED = 1000;
const PODS = 20;
/** Rounds until code is compiled: making pods with many ports undoes some of that. */
const WARM_UP = PODS_UNTIL_COMPILED / PODS;

/** Adds rows for addPorts and removePorts at 10,000 and 60,000 mappings. */
export async function measurePorts(bench: Bench): Promise<void> {
  const levels = bench.size([1000, 10_000], [1000, 10_000, 60_000]);
  await using open = new AsyncDisposableStack();
  const drivers: Driver[] = [];
  for (const subject of ["podnet", ...bench.versions, LIMIT]) {
    drivers.push(open.use(await start(subject)));
  }
  for (const driver of drivers) {
    await driver.ask("create", MEASURED, PODS, 0, 0);
  }
  let pods = 0;
  for (const mappings of levels) {
    const wanted = mappings / PORTS_A_POD;
    bench.say(`addPorts with ${mappings} mappings`);
    for (const driver of drivers) {
      await driver.ask(
        "create",
        pods,
        wanted - pods,
        PORTS_A_POD,
        FIRST_PORT + pods * PORTS_A_POD,
      );
    }
    pods = wanted;
    const series = new Series();
    const rounds = bench.size(5, 20);
    await takeTurns(drivers, rounds, WARM_UP, async (driver, _, warm) => {
      for (const verb of ["addPorts", "removePorts"]) {
        const laps = await driver.laps(verb, MEASURED, PODS, 1, ADDED_PORT);
        if (warm) series.add(driver.name, verb, laps);
      }
    });
    for (const verb of ["addPorts", "removePorts"]) {
      for (const { name } of drivers) {
        const { wall, cpu } = series.get(name, verb);
        const row = { measure: verb, subject: name, unit: "µs" };
        bench.results.add({ ...row, conditions: { mappings } }, wall, cpu);
      }
    }
  }
}

/**
 * What a pod costs by the number of pods that are there: create, remove,
 * addPorts, removePorts; podnet against the reference in C.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { compile, PODS_UNTIL_COMPILED } from "../compile.ts";
import type { Driver } from "../driver.ts";
import { addRows, Series, takeTurns } from "../rounds.ts";
import { LIMIT, start } from "../subjects.ts";
import { PODS_A_TURN, turn, TURN_VERBS } from "../turn.ts";

/** Rounds until tables have grown. */
const WARM_UP = 3;
/** Young processes are told apart by their next pod. */
const AGES = [1, 101, 601, PODS_UNTIL_COMPILED + 1] as const;

function age(pod: number): string {
  const next = AGES.findIndex((first) => first > pod);
  return `pods ${AGES[next - 1]} to ${(AGES[next] ?? 0) - 1} of a process`;
}

/** The first host port of pods that stay. */
const STAYING_PORTS = 10_000;

/** Pods that are measured get numbers that no pod had for a while: its link may not be gone yet. */
const FIRST_MEASURED = 10_000;
const MEASURED = 50_000;

/** Adds rows for every number of pods and of ports. */
export async function measureCreate(bench: Bench): Promise<void> {
  const levels = bench.size([0, 500], [0, 100, 500, 1000, 2000]);
  const portCounts = bench.size([1], [1, 10]);
  const rounds = bench.size(6, 40);
  await using open = new AsyncDisposableStack();
  const drivers: Driver[] = [];
  for (const subject of ["podnet", ...bench.versions, LIMIT]) {
    drivers.push(open.use(await start(subject)));
  }
  await measureYoung(bench, drivers);
  for (const driver of drivers) {
    if (driver.name !== LIMIT) await compile(driver);
  }
  let staying = 0;
  let next = PODS_UNTIL_COMPILED;
  for (const pods of levels) {
    bench.say(`create, remove, addPorts with ${pods} pods`);
    for (const driver of drivers) {
      const more = pods - staying;
      if (more > 0) {
        await driver.ask("create", staying, more, 1, STAYING_PORTS + staying);
      }
    }
    staying = pods;
    for (const ports of portCounts) {
      const series = new Series();
      await takeTurns(drivers, rounds, WARM_UP, async (driver, round, warm) => {
        const first = FIRST_MEASURED + (next + round * PODS_A_TURN) % MEASURED;
        await turn(driver, first, ports, warm ? series : undefined);
      });
      next += (rounds + WARM_UP) * PODS_A_TURN;
      for (const verb of TURN_VERBS) {
        const measured = { measure: verb, conditions: { pods, ports } };
        addRows(bench, drivers, verb, measured, series);
      }
    }
  }
}

/** The first pods of a process, for which V8 has compiled little. */
async function measureYoung(
  bench: Bench,
  drivers: readonly Driver[],
): Promise<void> {
  bench.say("create and remove in young processes");
  const ages = new Map<string, Series>();
  const rounds = PODS_UNTIL_COMPILED / PODS_A_TURN;
  await takeTurns(drivers, rounds, 0, async (driver, round) => {
    const pod = round * PODS_A_TURN;
    const which = age(pod + 1);
    const series = ages.get(which) ?? new Series();
    ages.set(which, series);
    await turn(driver, FIRST_MEASURED + pod, 1, series);
  });
  for (const [which, series] of ages) {
    for (const verb of ["create", "remove"]) {
      const measure = `${verb}, young process`;
      const measured = { measure, conditions: { which } };
      addRows(bench, drivers, verb, measured, series);
    }
  }
}

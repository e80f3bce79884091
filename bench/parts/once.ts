/**
 * What happens once: the first pod on a fresh node, and the command and the CNI
 * plugin from the start of their process to its end.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { Series, takeTurns } from "../rounds.ts";
import { LIMIT, start } from "../subjects.ts";

/** The first pod of a process that was just started on a node that was just set up. */
async function measureFirst(bench: Bench): Promise<void> {
  bench.say("first pod on a fresh node");
  const series = new Series();
  const subjects = ["podnet", LIMIT];
  for (let round = 0; round < bench.size(3, 20); round++) {
    for (const subject of subjects) {
      await using driver = await start(subject);
      series.add(
        subject,
        "first",
        await driver.laps("create", 0, 1, 1, 8080),
      );
    }
  }
  for (const subject of subjects) {
    const { wall, cpu } = series.get(subject, "first");
    bench.results.add(
      { measure: "first pod", subject, conditions: {}, unit: "µs" },
      wall,
      cpu,
    );
  }
}

/** One process for a pod, beside one chain of plugins for a pod. */
async function measureCommand(bench: Bench): Promise<void> {
  bench.say("the command, from the start of its process to its end");
  await using open = new AsyncDisposableStack();
  const drivers = [];
  const subjects = [
    "podnet command",
    "podnet CNI plugin",
    "Deno, empty program",
    "CNI bridge",
    "ip and nft",
  ];
  for (const subject of subjects) {
    drivers.push(open.use(await start(subject)));
  }
  const series = new Series();
  await takeTurns(
    drivers,
    bench.size(3, 20),
    2,
    async (driver, round, warm) => {
      const links = await driver.links();
      const made = await driver.laps("create", round, 1, 1, 8080);
      const gone = await driver.laps("remove", round, 1);
      if (warm) {
        series.add(driver.name, "create", made);
        series.add(driver.name, "remove", gone);
      }
      // The first pod of a bridge leaves the bridge.
      await driver.settle(round === 0 ? links + 1 : links);
    },
  );
  for (const verb of ["create", "remove"]) {
    for (const { name } of drivers) {
      const { wall, cpu } = series.get(name, verb);
      bench.results.add(
        {
          measure: `${verb}, one process`,
          subject: name,
          conditions: {},
          unit: "µs",
        },
        wall,
        cpu,
      );
    }
  }
}

/** Adds rows for first pods and for commands. */
export async function measureOnce(bench: Bench): Promise<void> {
  await measureFirst(bench);
  await measureCommand(bench);
}

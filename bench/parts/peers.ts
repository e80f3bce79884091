/**
 * podnet against the programs that people use for the same: what a pod costs
 * with each of them, by the number of pods that are there.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { compile } from "../compile.ts";
import type { Driver } from "../driver.ts";
import { addRows, Series, takeTurns } from "../rounds.ts";
import { LIMIT, start } from "../subjects.ts";

/** How many pods each is made to hold, and how many it makes and removes in a turn. */
interface Contender {
  readonly subject: string;
  readonly upTo: number;
  readonly turn: number;
}

/** The peers' cost of a pod grows with pods, so not all are taken to the end: each would take minutes. */
function contenders(bench: Bench): Contender[] {
  return [
    { subject: "podnet", upTo: 1000, turn: 20 },
    { subject: LIMIT, upTo: 1000, turn: 20 },
    { subject: "CNI bridge", upTo: bench.size(0, 1000), turn: 5 },
    { subject: "CNI bridge, dual stack", upTo: 0, turn: 5 },
    { subject: "CNI ptp", upTo: 0, turn: 5 },
    { subject: "netavark", upTo: bench.size(0, 500), turn: 5 },
    { subject: "ip and nft", upTo: bench.size(0, 1000), turn: 5 },
  ];
}

const STAYING_PORTS = 10_000;
const POD_PORTS = 20_000;

/** Pods that are measured get these numbers; netavark makes addresses of them, 65,000 at most. */
const FIRST_MEASURED = 2000;

/** Adds rows for every peer and number of pods. */
export async function measurePeers(bench: Bench): Promise<void> {
  const levels = bench.size([0], [0, 500, 1000]);
  const rounds = bench.size(2, 8);
  await using open = new AsyncDisposableStack();
  const all = contenders(bench);
  const started = new Map<Contender, Driver>();
  for (const contender of all) {
    started.set(contender, open.use(await start(contender.subject)));
  }
  const turns = new Map(
    [...started].map(([{ turn }, driver]) => [driver, turn]),
  );
  for (const driver of started.values()) {
    if (driver.name !== "podnet") continue;
    bench.say("until podnet's code is compiled");
    await compile(driver);
  }
  let staying = 0;
  let next = FIRST_MEASURED;
  for (const pods of levels) {
    const taking = [...started].filter(([{ upTo }]) => upTo >= pods)
      .map(([, driver]) => driver);
    if (pods > staying) {
      bench.say(`${pods} pods each`);
      // Not timed, so all at once: the chain of plugins takes minutes.
      await Promise.all(taking.map((driver) =>
        driver.ask(
          "create",
          staying,
          pods - staying,
          1,
          STAYING_PORTS + staying,
        )
      ));
    }
    staying = pods;
    bench.say(`create and remove with ${pods} pods, peers in turns`);
    const series = new Series();
    await takeTurns(taking, rounds, 1, async (driver, round, warm) => {
      const first = next + round * 20;
      const count = turns.get(driver) ?? 1;
      const links = await driver.links();
      const made = await driver.laps("create", first, count, 1, POD_PORTS);
      const gone = await driver.laps("remove", first, count);
      if (warm) {
        series.add(driver.name, "create", made);
        series.add(driver.name, "remove", gone);
      }
      // The first pod of a bridge leaves the bridge.
      await driver.settle(round === 0 ? links + 1 : links);
    });
    next += (rounds + 1) * 20;
    for (const verb of ["create", "remove"]) {
      const measured = {
        measure: `${verb}, among peers`,
        conditions: { pods },
      };
      addRows(bench, taking, verb, measured, series);
    }
  }
}

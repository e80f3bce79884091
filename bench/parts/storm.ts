/**
 * What a program that embeds podnet feels of it: how long its event loop stands
 * still while many pods are made and removed at once; and whether pods that are
 * said to be ready are.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { start } from "../subjects.ts";

/** Adds rows for stalls and first packets. */
export async function measureStorm(bench: Bench): Promise<void> {
  await using driver = await start("podnet");
  const pods = bench.size(30, 200);
  const ways = [["storm", "at once"], ["queue", "in a row"]] as const;
  for (const [command, how] of ways) {
    bench.say(`${pods} pods ${how}`);
    const stalls = { create: [] as number[], remove: [] as number[] };
    for (let round = 0; round < bench.size(2, 6); round++) {
      const links = await driver.links();
      const storm = JSON.parse(await driver.ask(command, round * pods, pods));
      await driver.settle(links);
      if (round === 0) continue;
      stalls.create.push(storm.create / 1e6);
      stalls.remove.push(storm.remove / 1e6);
    }
    for (const verb of ["create", "remove"] as const) {
      const conditions = { pods, how };
      const measure = `longest stall, ${verb}`;
      const row = { measure, subject: "podnet", conditions, unit: "ms" };
      bench.results.add(row, stalls[verb]);
    }
  }
  const count = bench.size(50, 1000);
  bench.say(`first packets of ${count} pods`);
  const { lost } = JSON.parse(await driver.ask("firstPackets", 10_000, count));
  bench.results.add(
    {
      measure: "first packets lost",
      subject: "podnet",
      conditions: { pods: count },
      unit: "pods",
    },
    [lost],
  );
}

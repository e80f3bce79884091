/**
 * How many pods a second: 2000 made by one process and by several, and made and
 * removed again and again.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import type { Driver } from "../driver.ts";
import { machineCpuMs, namespacesGone, slabObjects } from "../machine.ts";
import { LIMIT, start } from "../subjects.ts";

const SUBJECTS = ["podnet", LIMIT];

/** So many of one subject on one node. */
async function crew(
  open: AsyncDisposableStack,
  subject: string,
  size: number,
): Promise<Driver[]> {
  const first = open.use(await start(subject));
  const crew = [first];
  while (crew.length < size) {
    crew.push(open.use(await start(subject, { join: first })));
  }
  // Each is up, and its code has run once.
  for (const [at, driver] of crew.entries()) {
    const links = await driver.links();
    await driver.ask("churn", 60_000 + 10 * at, 10, 1, 60_000);
    await first.settle(links);
  }
  return crew;
}

/** Creates pods from all of a crew at once; the rate in pods a second. */
async function creationRate(
  crew: readonly Driver[],
  pods: number,
): Promise<number> {
  const share = Math.floor(pods / crew.length);
  const begin = performance.now();
  await Promise.all(
    crew.map((driver, at) =>
      driver.ask("create", at * share, share, 1, 1024 + at * share)
    ),
  );
  return share * crew.length / (performance.now() - begin) * 1000;
}

async function measureCreation(bench: Bench): Promise<void> {
  const pods = bench.size(200, 2000);
  for (const processes of bench.size([1, 2], [1, 2, 4])) {
    const rates = new Map(SUBJECTS.map((name) => [name, [] as number[]]));
    for (let round = 0; round < bench.size(1, 2); round++) {
      bench.say(`${pods} pods from ${processes} processes`);
      for (const subject of SUBJECTS) {
        const namespaces = slabObjects("net_namespace") ?? 0;
        {
          await using open = new AsyncDisposableStack();
          const drivers = await crew(open, subject, processes);
          rates.get(subject)?.push(await creationRate(drivers, pods));
        }
        await namespacesGone(namespaces);
      }
    }
    for (const [subject, values] of rates) {
      const conditions = { pods, processes };
      const row = { measure: "creation rate", subject, conditions };
      bench.results.add({ ...row, unit: "pods/s" }, values);
    }
  }
}

/** Made and removed at once, with some pods alive. */
async function measureChurn(bench: Bench): Promise<void> {
  const alive = bench.size(20, 200);
  const cycles = bench.size(100, 500);
  bench.say(`create and remove, ${alive} pods alive`);
  await using open = new AsyncDisposableStack();
  const drivers: Driver[] = [];
  for (const subject of SUBJECTS) {
    const driver = open.use(await start(subject));
    await driver.ask("create", 0, alive, 1, 1024);
    drivers.push(driver);
  }
  const rates = new Map(SUBJECTS.map((name) => [name, [] as number[]]));
  const cpu = new Map(SUBJECTS.map((name) => [name, [] as number[]]));
  const rounds = bench.size(2, 10);
  for (let round = 0; round <= rounds; round++) {
    for (const driver of drivers) {
      const links = await driver.links();
      const cpuBefore = await machineCpuMs();
      const begin = performance.now();
      await driver.ask("churn", 1000 + round * cycles, cycles, 1, 60_000);
      const ms = performance.now() - begin;
      await driver.settle(links);
      if (round === 0) continue;
      rates.get(driver.name)?.push(cycles / ms * 1000);
      const used = await machineCpuMs() - cpuBefore;
      cpu.get(driver.name)?.push(used / cycles * 1000);
    }
  }
  for (const subject of SUBJECTS) {
    const row = { subject, conditions: { pods: alive } };
    bench.results.add(
      { ...row, measure: "create + remove rate", unit: "pods/s" },
      rates.get(subject) ?? [],
    );
    bench.results.add(
      { ...row, measure: "create + remove, CPU of the machine", unit: "µs" },
      cpu.get(subject) ?? [],
    );
  }
}

/** Adds rows of rates. */
export async function measureRate(bench: Bench): Promise<void> {
  await measureCreation(bench);
  await measureChurn(bench);
}

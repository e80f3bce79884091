/**
 * Where the time of an operation goes: each call of the C library, and the rest, beside all of what C needs.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import type { CallTimes } from "../calls.ts";
import { compile } from "../compile.ts";
import type { Driver } from "../driver.ts";
import { Series, takeTurns } from "../rounds.ts";
import { percentile } from "../statistics.ts";
import { LIMIT, start } from "../subjects.ts";
import { compileClaims, fill, POOL, settleWith } from "./warm.ts";

/** As many as a pool has. */
const PODS_A_TURN = POOL;
/** Rounds until tables have grown. */
const WARM_UP = 2;

/** An operation that is looked into. */
interface Operation {
  /** The command of the drivers. */
  readonly verb: string;
  /** Of the first pod. */
  readonly firstPort: number;
}

const REMOVAL: Operation = { verb: "remove", firstPort: 0 };

/** What is looked into, in the order in which it is done. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  create: { verb: "create", firstPort: 20_000 },
  addPorts: { verb: "addPorts", firstPort: 40_000 },
  removePorts: { verb: "removePorts", firstPort: 40_000 },
  remove: REMOVAL,
};

/** The same with a pool of namespaces that were made ahead. */
const POOLED: Readonly<Record<string, Operation>> = {
  "create from a pool": { verb: "create", firstPort: 20_000 },
};

/** The operations that are looked into. */
export const PROFILED: readonly string[] = [OPERATIONS, POOLED]
  .flatMap(Object.keys);

/** The measure under which the rows of an operation are. */
export function profileOf(operation: string): string {
  return `where ${operation} goes`;
}

/** The rows' names for what is no call. */
const WHOLE = "all of it";
const OTHERS = "other calls";
const REST = "the rest: JavaScript, and the way to the calls";

/** Calls that take less are told together. */
const TOLD_FROM_US = 2;

function median(values: readonly number[]): number {
  return percentile([...values].sort((a, b) => a - b), 0.5);
}

/** Adds rows for every operation, by call. */
export async function measureProfile(bench: Bench): Promise<void> {
  bench.say("calls and what they take");
  await using open = new AsyncDisposableStack();
  const podnet = open.use(await start("podnet"));
  const watched = open.use(await start("podnet", { calls: true }));
  const limit = open.use(await start(LIMIT));
  for (const driver of [podnet, watched]) await compile(driver);
  await measure(
    bench,
    OPERATIONS,
    { podnet, watched, limit },
    async (driver, _, act) => {
      const links = await driver.links();
      await act();
      await driver.settle(links);
    },
  );
  await measureClaims(bench);
}

/** Of creation from a pool alone. */
export async function measureClaims(bench: Bench): Promise<void> {
  bench.say("calls of creation from a pool");
  await using open = new AsyncDisposableStack();
  const options = { warm: POOL };
  const podnet = open.use(await start("podnet", options));
  const watched = open.use(await start("podnet", { ...options, calls: true }));
  const limit = open.use(await start(LIMIT));
  await compileClaims([podnet, watched, limit]);
  await measure(
    bench,
    POOLED,
    { podnet, watched, limit },
    async (driver, first, act) => {
      await fill(driver, first);
      await act();
      const { verb, firstPort } = REMOVAL;
      await driver.ask(verb, first, PODS_A_TURN, 1, firstPort);
      await settleWith(driver, POOL);
    },
  );
}

/** Who takes part; `watched` is podnet with its calls told. */
interface Programs {
  readonly podnet: Driver;
  readonly watched: Driver;
  readonly limit: Driver;
}

/** Lets all take their turns, `around` each of which something else may be done. */
async function measure(
  bench: Bench,
  operations: Readonly<Record<string, Operation>>,
  { podnet, watched, limit }: Programs,
  around: (
    driver: Driver,
    first: number,
    act: () => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  const series = new Series();
  const calls = new Map<string, Record<string, CallTimes>[]>();
  await takeTurns(
    [podnet, watched, limit],
    bench.size(5, 20),
    WARM_UP,
    async (driver, round, warm) => {
      const first = round * PODS_A_TURN;
      await around(driver, first, async () => {
        for (const [name, { verb, firstPort }] of Object.entries(operations)) {
          const told = JSON.parse(
            await driver.ask(verb, first, PODS_A_TURN, 1, firstPort),
          );
          if (!warm) continue;
          if (driver !== watched) series.add(driver.name, name, told);
          else calls.set(name, [...calls.get(name) ?? [], told]);
        }
      });
    },
  );
  for (const name of Object.keys(operations)) {
    addRows(bench, name, series, calls.get(name) ?? []);
  }
}

/** The rows of one operation. */
function addRows(
  { results }: Bench,
  operation: string,
  series: Series,
  rounds: readonly Record<string, CallTimes>[],
): void {
  const add = (subject: string, us: number, times?: number) =>
    results.add({
      measure: profileOf(operation),
      subject,
      conditions: times === undefined ? {} : { times },
      unit: "µs",
    }, [us]);
  const whole = median(series.get("podnet", operation).wall);
  let rest = whole;
  let others = 0;
  for (const { call, times, us } of merged(rounds)) {
    rest -= us;
    if (us < TOLD_FROM_US) others += us;
    else add(call, us, Math.round(times * 10) / 10);
  }
  add(OTHERS, others);
  add(REST, rest);
  add(WHOLE, whole);
  add(LIMIT, median(series.get(LIMIT, operation).wall));
}

/** All rounds together, by call, the dearest first. */
function merged(
  rounds: readonly Record<string, CallTimes>[],
): { call: string; times: number; us: number }[] {
  const names = new Set(rounds.flatMap((round) => Object.keys(round)));
  return [...names].map((call) => {
    const of = rounds.flatMap((round) => round[call] ?? []);
    const sum = of.reduce((sum, { times }) => sum + times, 0);
    const us = median(of.flatMap(({ ns }) => ns)) / 1000;
    return { call, times: sum / rounds.length, us };
  }).sort((a, b) => b.us - a.us);
}

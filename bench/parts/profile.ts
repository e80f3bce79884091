/**
 * Where the time of an operation goes: each call of the C library, and the rest, beside all of what C needs.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import type { CallTimes } from "../calls.ts";
import type { Driver } from "../driver.ts";
import { Series, takeTurns } from "../rounds.ts";
import { percentile } from "../statistics.ts";
import { LIMIT, start } from "../subjects.ts";

const PODS_A_TURN = 20;
/** Rounds until the code is as fast as it gets. */
const WARM_UP = 30;
/** What is looked into, in the order in which it is done, each with its first host port. */
const FIRST_PORTS = {
  create: 20_000,
  addPorts: 40_000,
  removePorts: 40_000,
  remove: 0,
};
type Operation = keyof typeof FIRST_PORTS;

/** The operations that are looked into. */
export const PROFILED = Object.keys(FIRST_PORTS) as readonly Operation[];

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

/** One turn of a program: all operations of as many pods. */
async function turn(
  driver: Driver,
  first: number,
  take: (verb: string, answer: string) => void,
): Promise<void> {
  const links = await driver.links();
  for (const verb of PROFILED) {
    const base = FIRST_PORTS[verb];
    take(verb, await driver.ask(verb, first, PODS_A_TURN, 1, base));
  }
  await driver.settle(links);
}

/** Adds rows for every operation, by call. */
export async function measureProfile(bench: Bench): Promise<void> {
  bench.say("calls and what they take");
  await using podnet = await start("podnet");
  await using watched = await start("podnet", { calls: true });
  await using limit = await start(LIMIT);
  const series = new Series();
  const calls = new Map<string, Record<string, CallTimes>[]>();
  await takeTurns(
    [podnet, watched, limit],
    bench.size(5, 20),
    WARM_UP,
    async (driver, round, warm) => {
      await turn(driver, round * PODS_A_TURN, (verb, answer) => {
        if (!warm) return;
        const told = JSON.parse(answer);
        if (driver !== watched) series.add(driver.name, verb, told);
        else calls.set(verb, [...calls.get(verb) ?? [], told]);
      });
    },
  );
  for (const verb of PROFILED) {
    const add = (subject: string, us: number, times?: number) =>
      bench.results.add({
        measure: profileOf(verb),
        subject,
        conditions: times === undefined ? {} : { times },
        unit: "µs",
      }, [us]);
    const whole = median(series.get("podnet", verb).wall);
    let rest = whole;
    let others = 0;
    for (const { call, times, us } of merged(calls.get(verb) ?? [])) {
      rest -= us;
      if (us < TOLD_FROM_US) others += us;
      else add(call, us, Math.round(times * 10) / 10);
    }
    add(OTHERS, others);
    add(REST, rest);
    add(WHOLE, whole);
    add(LIMIT, median(series.get(LIMIT, verb).wall));
  }
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

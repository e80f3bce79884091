/**
 * What podnet is to reach, and whether it did: each goal a ratio of two series
 * of one run, or one number.
 *
 * @module
 */
import type { Conditions, Results, Row } from "./results.ts";
import { LIMIT } from "./subjects.ts";
import type { Cells } from "./table.ts";

/** A goal and what was measured. */
export interface Verdict {
  readonly goal: string;
  /** What was measured, with its unit. */
  readonly reached: string;
  readonly met: boolean;
  /**
   * What no podnet could get beyond in the same run: C in its place, or, where a process is started, a program of Deno that
   * does nothing.
   */
  readonly floor?: string;
}

type Statistic = (row: Row) => number | undefined;

/** The columns of a table of goals. */
export const GOAL_HEAD: Cells = ["goal", "reached", "floor", "met"];

/** One line of such a table. */
export function goalCells({ goal, reached, floor = "", met }: Verdict): Cells {
  return [goal, reached, floor, met ? "yes" : "no"];
}

const median: Statistic = ({ summary }) => summary.median;
const p99: Statistic = ({ summary }) => summary.p99;
const cpu: Statistic = (row) => row.cpu?.median;

/** One goal: undefined when its parts were not measured. */
type Goal = (results: Results) => Verdict | undefined;

function verdict(
  goal: string,
  value: number | undefined,
  bound: "at most" | "at least",
  limit: number,
  unit: string,
  floor?: number,
): Verdict | undefined {
  if (value === undefined) return undefined;
  const met = bound === "at most" ? value <= limit : value >= limit;
  const text = (value: number) =>
    `${
      value.toLocaleString("en", {
        maximumSignificantDigits: value >= 1000 ? 4 : 3,
      })
    }${unit}`;
  return {
    goal: `${goal}: ${bound} ${limit}${unit}`,
    reached: text(value),
    met,
    ...(floor === undefined ? {} : { floor: text(floor) }),
  };
}

function quotient(
  value: number | undefined,
  by: number | undefined,
): number | undefined {
  return value === undefined || by === undefined ? undefined : value / by;
}

function value(
  results: Results,
  measure: string,
  subject: string,
  conditions: Conditions,
  statistic: Statistic,
): number | undefined {
  const row = results.find(measure, subject, conditions);
  return row === undefined ? undefined : statistic(row);
}

/** podnet's number divided by another's under the same conditions. */
function ratioTo(
  { goal, measure, other = LIMIT, subject = "podnet", floor }: {
    readonly goal: string;
    readonly measure: string;
    readonly other?: string;
    readonly subject?: string;
    readonly floor?: string;
  },
  conditions: Conditions,
  statistic: Statistic,
  bound: "at most" | "at least",
  limit: number,
): Goal {
  return (results) => {
    const of = (subject: string) =>
      value(results, measure, subject, conditions, statistic);
    const its = of(other);
    const lowest = floor === undefined ? undefined : quotient(of(floor), its);
    return verdict(goal, quotient(of(subject), its), bound, limit, "×", lowest);
  };
}

/** Another's time divided by podnet's. */
function fasterThan(
  other: string,
  verb: string,
  pods: number,
  limit: number,
): Goal {
  const measure = `${verb}, among peers`;
  return (results) => {
    const of = (subject: string) =>
      value(results, measure, subject, { pods }, median);
    const goal = `${verb} with ${pods} pods, faster than ${other}`;
    const times = (subject: string) => quotient(of(other), of(subject));
    return verdict(goal, times("podnet"), "at least", limit, "×", times(LIMIT));
  };
}

function* createGoals(): Generator<Goal> {
  for (const pods of [0, 500, 1000, 2000]) {
    const conditions = { pods, ports: 1 };
    const create = (what: string) => ({
      goal: `create with ${pods} pods, ${what}, of C`,
      measure: "create",
    });
    yield ratioTo(create("median"), conditions, median, "at most", 1.3);
    yield ratioTo(create("p99"), conditions, p99, "at most", 1.5);
    yield ratioTo(create("CPU"), conditions, cpu, "at most", 1.6);
    const remove = {
      goal: `remove with ${pods} pods, median, of C`,
      measure: "remove",
    };
    yield ratioTo(remove, conditions, median, "at most", 2.5);
  }
}

/** How much longer podnet takes than the kernel to add a port. */
function portGoal(mappings: number): Goal {
  return (results) => {
    const mine = value(results, "addPorts", "podnet", { mappings }, median);
    const its = value(results, "addPorts", LIMIT, { mappings }, median);
    const more = mine === undefined || its === undefined
      ? undefined
      : mine - its;
    const goal = `addPorts with ${
      mappings.toLocaleString("en")
    } mappings, above C`;
    return verdict(goal, more, "at most", 50, " µs");
  };
}

/** Connections a second under two conditions. */
function connectionGoal(
  goal: string,
  [measure, other]: readonly [Conditions, Conditions],
  bound: "at most" | "at least",
  limit: number,
  unit: "time" | "rate",
): Goal {
  const name = unit === "time" ? "new connection" : "new connections";
  return (results) => {
    const mine = value(results, name, "podnet", measure, median);
    const its = value(results, name, "podnet", other, median);
    return verdict(goal, quotient(mine, its), bound, limit, "×");
  };
}

/** What a process costs in which Deno has nothing to do. */
const IDLE_DENO = "Deno, empty program";

const goals: readonly Goal[] = [
  ...createGoals(),
  ratioTo(
    {
      goal: "create + remove sustained, of C's rate",
      measure: "create + remove rate",
    },
    {},
    median,
    "at least",
    0.7,
  ),
  ratioTo(
    {
      goal: "create from a warm pool, of C's claim",
      measure: "create from a pool",
    },
    {},
    median,
    "at most",
    3,
  ),
  fasterThan("CNI bridge", "create", 0, 100),
  fasterThan("CNI bridge", "create", 1000, 300),
  fasterThan("CNI bridge", "remove", 0, 300),
  fasterThan("CNI bridge", "remove", 1000, 300),
  fasterThan("netavark", "create", 0, 60),
  fasterThan("netavark", "create", 500, 150),
  ratioTo(
    {
      goal: "the command, of one CNI chain ADD",
      measure: "create, one process",
      subject: "podnet command",
      other: "CNI bridge",
      floor: IDLE_DENO,
    },
    {},
    median,
    "at most",
    0.5,
  ),
  ratioTo(
    {
      goal: "podnet's CNI plugin, ADD, of one CNI chain's",
      measure: "create, one process",
      subject: "podnet CNI plugin",
      other: "CNI bridge",
      floor: IDLE_DENO,
    },
    {},
    median,
    "at most",
    0.5,
  ),
  portGoal(10_000),
  portGoal(60_000),
  connectionGoal(
    "new connection through 60,000 mappings, of that through 1",
    [{ path: "host port", mappings: 60_000 }, {
      path: "host port",
      mappings: 1,
    }],
    "at most",
    1.1,
    "time",
  ),
  connectionGoal(
    "new connections a second through 60,000 mappings, of those without NAT",
    [{ path: "host port", mappings: 60_000 }, { path: "no NAT" }],
    "at least",
    0.85,
    "rate",
  ),
  (results) => {
    const row = results.find("first packets lost", "podnet");
    const pods = row?.conditions.pods;
    const goal = `first packets lost of ${pods} pods in a row`;
    return verdict(goal, row?.summary.max, "at most", 0, "");
  },
];

/** Every goal whose measures are there. */
export function judge(results: Results): Verdict[] {
  return goals.map((goal) => goal(results)).filter((verdict) =>
    verdict !== undefined
  );
}

/**
 * Results for people: tables in the terminal, and files for the README.
 *
 * @module
 */
import { GOAL_HEAD, goalCells, judge } from "./goals.ts";
import { type Machine, sentence } from "./machine.ts";
import { charts } from "./plots.ts";
import { phrase, type Results, type Row } from "./results.ts";
import { LIMIT, run } from "./subjects.ts";
import { svgChart } from "./svg.ts";
import { markdownTable, number, ratio, terminalTable } from "./table.ts";

const HEAD = [
  "measure",
  "conditions",
  "subject",
  "unit",
  "min",
  "median",
  "p99",
  "CPU",
  "× C median",
  "× C p99",
  "× C CPU",
  "n",
];

/** Beside what the same work in C took. */
function cells(results: Results, row: Row): string[] {
  const { measure, subject, conditions, unit, summary, cpu } = row;
  const limit = subject === LIMIT
    ? undefined
    : results.find(measure, LIMIT, conditions);
  const against = (mine?: number, its?: number) =>
    mine === undefined || its === undefined || its === 0
      ? ""
      : ratio(mine / its);
  return [
    measure,
    phrase(conditions),
    subject,
    unit,
    number(summary.min),
    number(summary.median),
    number(summary.p99),
    cpu === undefined ? "" : number(cpu.median),
    against(summary.median, limit?.summary.median),
    against(summary.p99, limit?.summary.p99),
    against(cpu?.median, limit?.cpu?.median),
    String(summary.n),
  ];
}

/** Prints everything. */
export function printResults(results: Results, machine: Machine): void {
  const rows = results.rows.map((row) => cells(results, row));
  console.log(terminalTable(HEAD, rows));
  const verdicts = judge(results);
  if (verdicts.length > 0) {
    const met = verdicts.filter(({ met }) => met).length;
    console.log(`\n${terminalTable(GOAL_HEAD, verdicts.map(goalCells))}`);
    console.log(`\n${met} of ${verdicts.length} goals met`);
  }
  console.log(`\n${sentence(machine)}`);
}

/** Writes `latest.json`, `latest.md` and the charts into the directory. */
export async function saveResults(
  results: Results,
  machine: Machine,
  directory: string,
): Promise<void> {
  const goals = judge(results);
  await Deno.writeTextFile(
    `${directory}/latest.json`,
    `${JSON.stringify({ machine, goals, rows: results.rows }, null, 1)}\n`,
  );
  const rows = results.rows.map((row) => cells(results, row));
  await Deno.writeTextFile(
    `${directory}/latest.md`,
    [
      `# What podnet costs`,
      "",
      "By `deno task bench`; times are wall time, CPU is the median of user and system time.",
      `C is the same kernel work without a library (\`bench/reference/pod.c\`).`,
      "",
      sentence(machine),
      "",
      markdownTable(GOAL_HEAD, goals.map(goalCells)),
      "",
      markdownTable(HEAD, rows),
      "",
    ].join("\n"),
  );
  for (const [name, chart] of charts(results)) {
    await Deno.writeTextFile(`${directory}/${name}.svg`, svgChart(chart));
  } // They are kept in the repository, where everything is formatted.
  await run(Deno.execPath(), ["fmt", "--quiet", directory]);
}

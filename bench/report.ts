/**
 * Results for people: the table in the terminal.
 *
 * @module
 */
import { phrase, type Results, type Row } from "./results.ts";
import { LIMIT } from "./subjects.ts";
import { number, ratio, terminalTable } from "./table.ts";

/** Beside what the same work in C took. */
function line(results: Results, row: Row): string[] {
  const { measure, subject, conditions, unit, summary, cpu } = row;
  const limit = subject === LIMIT
    ? undefined
    : results.find(measure, LIMIT, conditions);
  const against = (mine?: number, its?: number) =>
    mine === undefined || its === undefined ? "" : ratio(mine / its);
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

/** Prints everything. */
export function report(results: Results): void {
  console.log(
    terminalTable(HEAD, results.rows.map((row) => line(results, row))),
  );
}

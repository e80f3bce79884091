/**
 * What was measured, as data.
 *
 * @module
 */
import { summarise, type Summary } from "./statistics.ts";

/** Under which conditions, such as the number of existing pods. */
export type Conditions = Readonly<Record<string, number | string>>;

/** One series: who did what, under which conditions. */
export interface Row {
  /** What was measured, such as `create`. */
  readonly measure: string;
  /** Who did it. */
  readonly subject: string;
  readonly conditions: Conditions;
  /** Of all numbers in it. */
  readonly unit: string;
  readonly summary: Summary;
  /** CPU time of the same operations, where it was taken. */
  readonly cpu?: Summary;
}

/** Collects rows and finds them again. */
export class Results {
  readonly rows: Row[];

  constructor(rows: readonly Row[] = []) {
    this.rows = [...rows];
  }

  add(
    row: Omit<Row, "summary" | "cpu">,
    values: readonly number[],
    cpu?: readonly number[],
  ): void {
    this.rows.push({
      ...row,
      summary: summarise(values),
      ...(cpu === undefined ? {} : { cpu: summarise(cpu) }),
    });
  }

  /** The row of exactly this measure and subject whose conditions include the given ones. */
  find(
    measure: string,
    subject: string,
    conditions: Conditions = {},
  ): Row | undefined {
    return this.rows.find((row) =>
      row.measure === measure && row.subject === subject &&
      Object.entries(conditions).every(([name, value]) =>
        row.conditions[name] === value
      )
    );
  }
}

const SINGULAR: Readonly<Record<string, string>> = {
  pods: "pod",
  ports: "port",
  mappings: "mapping",
  processes: "process",
};

/** Conditions as one phrase: `500 pods, 1 port`, `host port, 10,000 mappings`. */
export function phrase(conditions: Conditions): string {
  return Object.entries(conditions).map(([name, value]) =>
    typeof value === "number"
      ? `${value.toLocaleString("en")} ${
        value === 1 ? SINGULAR[name] ?? name : name
      }`
      : value
  ).join(", ");
}

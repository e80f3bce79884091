/**
 * Rounds: every program does the same, one after the other, again and again, so
 * that whatever else the machine does falls on all of them.
 *
 * @module
 */
import type { Bench } from "./bench.ts";
import type { Driver, Laps } from "./driver.ts";
import type { Row } from "./results.ts";

/** The laps of all rounds but the first ones, by program and by what was done. */
export class Series {
  readonly #laps = new Map<string, { wall: number[]; cpu: number[] }>();

  /** Adds laps in microseconds. */
  add(subject: string, operation: string, { wall, cpu }: Laps): void {
    const key = `${subject} ${operation}`;
    const found = this.#laps.get(key) ?? { wall: [], cpu: [] };
    this.#laps.set(key, found);
    found.wall.push(...wall.map((ns) => ns / 1000));
    found.cpu.push(...cpu.map((ns) => ns / 1000));
  }

  /** In microseconds. */
  get(subject: string, operation: string): Laps {
    const found = this.#laps.get(`${subject} ${operation}`);
    if (found === undefined) throw new RangeError(`no laps of ${operation}`);
    return found;
  }
}

/**
 * Lets each program take its turn in every round, the order turned round each
 * time. The first rounds are for warming up.
 */
export async function takeTurns(
  drivers: readonly Driver[],
  rounds: number,
  warmUp: number,
  turn: (driver: Driver, round: number, warm: boolean) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < warmUp + rounds; round++) {
    const order = round % 2 === 0 ? drivers : drivers.toReversed();
    for (const driver of order) await turn(driver, round, round >= warmUp);
  }
}

/** Adds a row for each program, of one of the things that it did. */
export function addRows(
  { results }: Bench,
  drivers: readonly Driver[],
  operation: string,
  measured: Pick<Row, "measure" | "conditions">,
  series: Series,
): void {
  for (const { name } of drivers) {
    const { wall, cpu } = series.get(name, operation);
    results.add({ ...measured, subject: name, unit: "µs" }, wall, cpu);
  }
}

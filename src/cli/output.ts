/**
 * Results on stdout: a table for people, JSON for programs. Never colours.
 *
 * @module
 */
import { printable } from "../text.ts";

/** A column of a table: its heading and how to read it from a row. */
export type Column<T> = readonly [heading: string, cell: (row: T) => string];

/** The reader of stdout has gone away, as in `podnet events | head -1`. */
export class OutputClosed extends Error {
  /** `"OutputClosed"`. */
  override readonly name = "OutputClosed";
}

/** Whether `-o json` was given. */
export function isJson(
  options: { readonly output: string | undefined },
): boolean {
  return options.output === "json";
}

/** Writes a line on stdout. */
export function print(line: string): void {
  writeAll(Deno.stdout, `${line}\n`);
}

/**
 * Writes a line on stdout while everything else goes on, however long nobody reads. Resolves when it is written, or when
 * the signal aborts: then nobody may ever read it.
 */
export async function printMeanwhile(
  line: string,
  signal: AbortSignal,
): Promise<void> {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const stop = () => resolve();
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    await Promise.race([aborted, writeMeanwhile(`${line}\n`)]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Writes `podnet: ` and what went wrong on stderr. */
export function printFailure(line: string): void {
  writeAll(Deno.stderr, `podnet: ${line}\n`);
}

/** Writes a value as indented JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Writes rows as JSON, or as a table: one line a row, columns aligned, headings first. */
export function printRows<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  json: boolean,
): void {
  if (json) printJson(rows);
  else print(formatTable(rows, columns).join("\n"));
}

/** Writes one object as JSON, or as one line a property. */
export function printRecord(
  value: object,
  properties: readonly (readonly [label: string, text: string])[],
  json: boolean,
): void {
  if (json) return printJson(value);
  const width = Math.max(...properties.map(([label]) => label.length));
  const lines = properties.map(([label, text]) =>
    `${label.padEnd(width)}  ${printable(text)}`.trimEnd()
  );
  // At once: who reads them need not be woken for each.
  print(lines.join("\n"));
}

/** The lines of a table. An empty cell shows as `-`, so that columns can be counted. */
export function formatTable<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
): string[] {
  const cells = [
    columns.map(([heading]) => heading),
    ...rows.map((row) =>
      columns.map(([, cell]) => printable(cell(row)) || "-")
    ),
  ];
  const widths = columns.map((_, i) =>
    Math.max(...cells.map((row) => row[i]?.length ?? 0))
  );
  return cells.map((row) =>
    row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()
  );
}

function writeAll(
  stream: { writeSync(data: Uint8Array): number },
  text: string,
): void {
  let rest = new TextEncoder().encode(text);
  try {
    while (rest.length > 0) rest = rest.subarray(stream.writeSync(rest));
  } catch (error) {
    throw outputError(error);
  }
}

async function writeMeanwhile(text: string): Promise<void> {
  let rest = new TextEncoder().encode(text);
  try {
    while (rest.length > 0) {
      rest = rest.subarray(await Deno.stdout.write(rest));
    }
  } catch (error) {
    throw outputError(error);
  }
}

function outputError(error: unknown): unknown {
  return error instanceof Deno.errors.BrokenPipe ? new OutputClosed() : error;
}

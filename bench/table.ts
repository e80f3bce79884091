/**
 * Tables of text: for the terminal and for Markdown.
 *
 * @module
 */

/** One line of cells. */
export type Cells = readonly string[];

function widths(rows: readonly Cells[]): number[] {
  const columns = Math.max(...rows.map((row) => row.length));
  return Array.from(
    { length: columns },
    (_, at) => Math.max(...rows.map((row) => [...(row[at] ?? "")].length)),
  );
}

/** Text to the left, numbers to the right. */
function pad(cell: string, width: number): string {
  const space = " ".repeat(width - [...cell].length);
  return /^[-−<]?[\d]/.test(cell) ? space + cell : cell + space;
}

function line(row: Cells, widths: readonly number[], between: string): string {
  return widths.map((width, at) => pad(row[at] ?? "", width)).join(between);
}

/** Columns two spaces apart, the head underlined. */
export function terminalTable(head: Cells, rows: readonly Cells[]): string {
  const columns = widths([head, ...rows]);
  return [
    line(head, columns, "  ").trimEnd(),
    columns.map((width) => "─".repeat(width)).join("  "),
    ...rows.map((row) => line(row, columns, "  ").trimEnd()),
  ].join("\n");
}

/** The same in Markdown. */
export function markdownTable(head: Cells, rows: readonly Cells[]): string {
  const columns = widths([head, ...rows]);
  return [
    `| ${line(head, columns, " | ")} |`,
    `| ${columns.map((width) => "-".repeat(width)).join(" | ")} |`,
    ...rows.map((row) => `| ${line(row, columns, " | ")} |`),
  ].join("\n");
}

/** Whole, or three significant digits; thousands apart. */
export function number(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** How many times as much. */
export function ratio(value: number): string {
  return `${number(value)}×`;
}

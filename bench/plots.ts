/**
 * Which charts are drawn from the results.
 *
 * @module
 */
import type { Conditions, Results, Row } from "./results.ts";
import type { Chart, ChartLine } from "./svg.ts";

/** A line for each subject (or what `name` makes of a row), over one of the conditions. */
function linesOver(
  rows: readonly Row[],
  condition: string,
  name: (row: Row) => string = ({ subject }) => subject,
  y: (row: Row) => number = ({ summary }) => summary.median,
): ChartLine[] {
  const lines = new Map<string, [number, number][]>();
  for (const row of rows) {
    const x = row.conditions[condition];
    if (typeof x !== "number") continue;
    const points = lines.get(name(row)) ?? [];
    points.push([x, y(row)]);
    lines.set(name(row), points);
  }
  return [...lines].map(([name, points]) => ({
    name,
    points: points.sort(([a], [b]) => a - b),
  }));
}

function select(
  results: Results,
  measure: string,
  conditions: Conditions = {},
): Row[] {
  return results.rows.filter((row) =>
    row.measure === measure &&
    Object.entries(conditions).every(([key, value]) =>
      row.conditions[key] === value
    )
  );
}

/** Every chart that has a line, by the name of its file. */
export function charts(results: Results): Map<string, Chart> {
  const all: Record<string, Chart> = {
    create: {
      title: "Create a pod, dual stack, one host port (median)",
      xAxis: "pods on the node",
      yAxis: "µs",
      lines: linesOver(select(results, "create", { ports: 1 }), "pods"),
    },
    remove: {
      title: "Remove a pod (median)",
      xAxis: "pods on the node",
      yAxis: "µs",
      lines: linesOver(select(results, "remove", { ports: 1 }), "pods"),
    },
    peers: {
      title: "Create a pod with one host port (median)",
      xAxis: "pods on the node",
      yAxis: "µs",
      logarithmic: true,
      lines: linesOver(select(results, "create, among peers"), "pods"),
    },
    "peers-remove": {
      title: "Remove a pod (median)",
      xAxis: "pods on the node",
      yAxis: "µs",
      logarithmic: true,
      lines: linesOver(select(results, "remove, among peers"), "pods"),
    },
    rate: {
      title: "Pods created a second",
      xAxis: "processes",
      yAxis: "pods/s",
      lines: linesOver(select(results, "creation rate"), "processes"),
    },
    "add-ports": {
      title: "Add a host port to a pod (median)",
      xAxis: "host ports on the node",
      yAxis: "µs",
      logarithmic: true,
      lines: linesOver(select(results, "addPorts"), "mappings"),
    },
    connections: {
      title: "New connections through a host port",
      xAxis: "host ports on the node",
      yAxis: "connections/s",
      lines: linesOver(
        select(results, "new connections"),
        "mappings",
        ({ subject, conditions }) => `${subject}, ${conditions.path}`,
      ),
    },
  };
  // What was measured at one place only is not a line.
  const drawn = Object.entries(all).map(([file, chart]) => {
    const lines = chart.lines.filter(({ points }) => points.length > 1);
    return [file, { ...chart, lines }] as const;
  });
  return new Map(drawn.filter(([, { lines }]) => lines.length > 0));
}

/**
 * What README.md and docs/performance.md say of the last whole run, made of
 * `results/latest.json`: everything between their marks.
 *
 *     deno run -A bench/pages.ts
 *
 * @module
 */
import { GOAL_HEAD, goalCells, type Verdict } from "./goals.ts";
import { type Machine, sentence } from "./machine.ts";
import { PROFILED, profileOf } from "./parts/profile.ts";
import { charts } from "./plots.ts";
import { type Conditions, phrase, Results, type Row } from "./results.ts";
import { LIMIT, run } from "./subjects.ts";
import type { Chart } from "./svg.ts";
import { type Cells, markdownTable, number, ratio } from "./table.ts";

/** A whole run, as `results/latest.json` has it. */
interface Run {
  readonly machine: Machine;
  readonly goals: readonly Verdict[];
  readonly rows: readonly Row[];
}

const BEGIN = "<!-- by deno task bench -->";
const END = "<!-- end -->";
const MISSING = "–";

/** Milliseconds of a measure that is in microseconds. */
function ms(row: Row | undefined): string {
  return row === undefined ? MISSING : number(row.summary.median / 1000);
}

/** `1.4 (C 0.51)`: podnet's milliseconds beside those of the same work in C. */
function besideC(
  results: Results,
  measure: string,
  conditions: Conditions,
): string {
  const mine = ms(results.find(measure, "podnet", conditions));
  return `${mine} (C ${ms(results.find(measure, LIMIT, conditions))})`;
}

function ownTable(results: Results): string {
  const pods = [0, 500, 1000, 2000];
  return markdownTable(
    ["ms", ...pods.map((count) => `${count} pods`)],
    ["create", "addPorts", "remove"].map((verb) => [
      verb,
      ...pods.map((pods) => besideC(results, verb, { pods, ports: 1 })),
    ]),
  );
}

function peerTable(results: Results): string {
  const subjects = ["podnet", LIMIT, "CNI bridge", "netavark", "ip and nft"];
  const rows = ["create", "remove"].flatMap((verb) =>
    [0, 500, 1000].map((pods) => [
      `${verb}, ${pods} pods`,
      ...subjects.map((subject) =>
        ms(results.find(`${verb}, among peers`, subject, { pods }))
      ),
    ])
  );
  return markdownTable(["ms", ...subjects], rows);
}

/** What has no table in the README, in a sentence each, as far as it was measured. */
function* remarks(results: Results): Generator<string> {
  const find = (measure: string, subject: string, conditions?: Conditions) =>
    results.find(measure, subject, conditions)?.summary.median;
  const lost = results.find("first packets lost", "podnet");
  if (lost !== undefined) {
    const { max } = lost.summary;
    yield `Of ${lost.conditions.pods} pods in a row ${
      max === 0 ? "none" : max
    } lost its first packet.`;
  }
  const pooled = find("create from a pool", "podnet");
  if (pooled !== undefined) {
    yield `\`openNode({ warm: 20 })\` creates in ${number(pooled / 1000)} ms.`;
  }
  const added = find("addPorts", "podnet", { mappings: 60_000 });
  const removed = find("removePorts", "podnet", { mappings: 60_000 });
  if (added !== undefined && removed !== undefined) {
    yield `Opening a port takes ${
      number(added / 1000)
    } ms among 60,000, closing one ${number(removed / 1000)} ms.`;
  }
  const [one, two, four] = [1, 2, 4].map((processes) =>
    find("creation rate", "podnet", { processes })
  );
  if (one !== undefined && two !== undefined && four !== undefined) {
    yield `One process makes ${number(Math.round(one))} pods a second, two ${
      number(Math.round(two))
    }, four ${number(Math.round(four))}.`;
  }
  const chain = find("create, one process", "CNI bridge");
  for (
    const [subject, what] of [
      ["podnet command", "`podnet create`"],
      ["podnet CNI plugin", "the CNI plugin's ADD"],
    ] as const
  ) {
    const took = find("create, one process", subject);
    if (took === undefined || chain === undefined) continue;
    yield `From the start of its process to its end ${what} takes ${
      number(took / 1000)
    } ms, ${ratio(took / chain)} one chain of CNI plugins.`;
  }
}

/** A chart and the empty line after it, if it was drawn. */
function picture(
  drawn: ReadonlyMap<string, Chart>,
  name: string,
  root = "",
): string[] {
  const chart = drawn.get(name);
  return chart === undefined
    ? []
    : [`![${chart.title}](${root}bench/results/${name}.svg)`, ""];
}

/** The README's section. */
export function readmeSection({ machine, goals, rows }: Run): string {
  const results = new Results(rows);
  const drawn = charts(results);
  const met = goals.filter(({ met }) => met).length;
  return [
    "Medians of one run, each program on a node of its own, all in turns, for a",
    "pod with one host port; C is the same kernel work without a library. The",
    "peers are IPv4 only, podnet and C dual stack.",
    "",
    ownTable(results),
    "",
    ...picture(drawn, "create"),
    peerTable(results),
    "",
    ...picture(drawn, "peers"),
    [...remarks(results)].join(" "),
    "",
    `${met} of ${goals.length} goals are met;`,
    "[docs/performance.md](docs/performance.md) lists them, all measures, how they",
    "are taken, and what keeps the others.",
    "",
    `${sentence(machine)}.`,
  ].join("\n");
}

const COLUMNS = [
  "conditions",
  "program",
  "median",
  "p99",
  "CPU",
  "of C",
  "n",
];

/** All rows of some measures, each measure with a table. */
function* measureTables(
  results: Results,
  measures: readonly string[],
): Generator<string> {
  for (const measure of measures) {
    const rows = results.rows.filter((row) => row.measure === measure);
    const [first] = rows;
    if (first === undefined) continue;
    yield `**${measure}**, ${first.unit}:`;
    yield "";
    yield markdownTable(COLUMNS, rows.map((row) => cells(results, row)));
    yield "";
  }
}

function cells(results: Results, row: Row): Cells {
  const { measure, subject, conditions, summary, cpu } = row;
  const limit = subject === LIMIT
    ? undefined
    : results.find(measure, LIMIT, conditions);
  return [
    phrase(conditions),
    subject,
    number(summary.median),
    number(summary.p99),
    cpu === undefined ? "" : number(cpu.median),
    limit === undefined || limit.summary.median === 0
      ? ""
      : ratio(summary.median / limit.summary.median),
    String(summary.n),
  ];
}

/** The sections of docs/performance.md: their title, their charts, and what was measured. */
const SECTIONS: readonly {
  readonly title: string;
  readonly charts: readonly string[];
  readonly measures: readonly string[];
}[] = [
  {
    title: "By the number of pods",
    charts: ["create", "remove"],
    measures: ["create", "addPorts", "removePorts", "remove"],
  },
  {
    title: "Beside peers",
    charts: ["peers", "peers-remove"],
    measures: ["create, among peers", "remove, among peers"],
  },
  {
    title: "Rates",
    charts: ["rate"],
    measures: [
      "creation rate",
      "create + remove rate",
      "create + remove, CPU of the machine",
    ],
  },
  {
    title: "Once, and in young processes",
    charts: [],
    measures: [
      "first pod",
      "create, young process",
      "remove, young process",
      "create, one process",
      "remove, one process",
    ],
  },
  {
    title: "Before and after a pause",
    charts: [],
    measures: [
      "create, and pauses",
      "addPorts, and pauses",
      "removePorts, and pauses",
      "remove, and pauses",
    ],
  },
  {
    title: "From a warm pool",
    charts: [],
    measures: ["create from a pool"],
  },
  {
    title: "Ports among many",
    charts: ["add-ports"],
    measures: [],
  },
  {
    title: "Traffic",
    charts: ["connections"],
    measures: ["new connections", "new connection", "throughput"],
  },
  {
    title: "Stalls and first packets",
    charts: [],
    measures: [
      "longest stall, create",
      "longest stall, remove",
      "first packets lost",
    ],
  },
  {
    title: "Memory and calls",
    charts: [],
    measures: [
      "memory a pod, kernel",
      "memory a pod, resident",
      "memory a pod, V8 heap",
      "memory of the process, resident",
      "create: system calls",
      "create: netlink messages",
      "remove: system calls",
      "remove: netlink messages",
    ],
  },
];

/** A table for each operation: what its calls of the C library took, and what else. */
function* profileTables(results: Results): Generator<string> {
  for (const verb of PROFILED) {
    const rows = results.rows.filter(({ measure }) =>
      measure === profileOf(verb)
    );
    if (rows.length === 0) continue;
    yield `**${verb}**, µs:`;
    yield "";
    yield markdownTable(
      ["what", "times", "µs"],
      rows.map(({ subject, conditions: { times }, summary }) => [
        subject === LIMIT ? "all of it in C" : subject,
        times === undefined ? "" : String(times),
        number(summary.median),
      ]),
    );
    yield "";
  }
}

/** What docs/performance.md says of the run. */
export function performanceSection({ machine, goals, rows }: Run): string {
  const results = new Results(rows);
  const drawn = charts(results);
  const lines = [
    `${sentence(machine)}.`,
    "",
    "### Goals",
    "",
    markdownTable(GOAL_HEAD, goals.map(goalCells)),
    "",
  ];
  const add = (title: string, parts: readonly string[]) => {
    if (parts.length > 0) lines.push(`### ${title}`, "", ...parts);
  };
  for (const { title, charts, measures } of SECTIONS) {
    add(title, [
      ...charts.flatMap((chart) => picture(drawn, chart, "../")),
      ...measureTables(results, measures),
    ]);
  }
  add("Where the time goes", [...profileTables(results)]);
  return lines.join("\n").trimEnd();
}

/**
 * A text with another section between its marks.
 *
 * @throws {RangeError} when the marks are not there
 */
export function withSection(text: string, section: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END, begin);
  if (begin === -1 || end === -1) {
    throw new RangeError(`there is no "${BEGIN}" with "${END}" after it`);
  }
  return `${text.slice(0, begin)}${BEGIN}\n\n${section}\n\n${text.slice(end)}`;
}

/** Rewrites the pages. */
export async function writePages(): Promise<void> {
  const root = new URL("..", import.meta.url).pathname;
  const path = `${root}bench/results/latest.json`;
  const last: Run = JSON.parse(await Deno.readTextFile(path));
  const pages = [
    [`${root}README.md`, readmeSection(last)],
    [`${root}docs/performance.md`, performanceSection(last)],
  ] as const;
  for (const [page, section] of pages) {
    const text = await Deno.readTextFile(page);
    await Deno.writeTextFile(page, withSection(text, section));
    await run(Deno.execPath(), ["fmt", "--quiet", page]);
  }
}

if (import.meta.main) await writePages();

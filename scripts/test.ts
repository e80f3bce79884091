/**
 * Everything that must hold: format, lint, types, documentation, the package,
 * and the tests in namespaces of their own.
 *
 *     deno task test                       all of it
 *     deno task test tests/hostport        only these tests
 *     deno task test --filter "hairpin" tests/hostport
 *
 * @module
 */
import {
  CLIENT_PEERS,
  ENGINE_PEERS,
  installPeers,
  TEST_PEERS,
} from "./install_peers.ts";
import { runIsolated } from "./isolate.ts";
import { added, machineState } from "./leaks.ts";
import { emptyOutcome, ending, type Outcome } from "./test_output.ts";

const root = new URL("..", import.meta.url);

/** Where examples in the documentation are looked for. */
const documented = ["mod.ts", "ffi", "src", "README.md", "ARCHITECTURE.md"];

const publicModules = [
  "mod.ts",
  "src/cluster/mod.ts",
  "src/testing/mod.ts",
  "src/cli/main.ts",
];

/** Tests run side by side in this many sets of namespaces: they mostly wait. */
const LANES = 3;

/** Checks that need no tests, each a `deno` command. */
const checks: Record<string, readonly string[]> = {
  format: ["fmt", "--check"],
  lint: ["lint"],
  types: ["check", "--doc", "."],
  documentation: ["doc", "--lint", ...publicModules],
  package: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
};

function seconds(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}

/** Runs a Deno command in the checkout; returns what it said when it failed. */
async function deno(args: readonly string[]): Promise<string | undefined> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return undefined;
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}

/** Runs the checks one after another. Those that hold are not counted. */
async function runChecks(): Promise<Outcome> {
  const outcome = emptyOutcome();
  for (const [name, args] of Object.entries(checks)) {
    const start = performance.now();
    const problem = await deno(args);
    const result = problem === undefined ? "ok    " : "FAILED";
    console.log(`${result} ${name} (${seconds(start)})`);
    if (problem === undefined) continue;
    outcome.failed++;
    outcome.report.push(`FAILED: deno ${args.join(" ")}`, problem);
    const told = problem.trim().split("\n").slice(0, 6).join(" | ");
    outcome.failures.push(`deno ${args.join(" ")}: ${told}`);
  }
  return outcome;
}

function* testFiles(path: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(path, root))) {
    if (isDirectory) yield* testFiles(`${path}/${name}`);
    else if (name.endsWith("_test.ts")) yield `${path}/${name}`;
  }
}

/** The test files, dealt out to the lanes. */
function* testLanes(): Generator<string[]> {
  const files = [...testFiles("tests"), ...testFiles("examples")].sort();
  for (let lane = 0; lane < LANES; lane++) {
    yield files.filter((_, at) => at % LANES === lane);
  }
}

/** Who is needed by these tests: clients and engines are large, and have nothing to do with most of them. */
function peersOf(args: readonly string[]): string[] {
  const has = (folder: string) =>
    args.length === 0 || args.some((path) => path.includes(folder));
  return [
    ...TEST_PEERS,
    ...has("tests/clients") ? CLIENT_PEERS : [],
    ...has("tests/cluster") ? ENGINE_PEERS : [],
  ];
}

/** Runs `deno test` with the arguments, isolated. */
async function runTests(args: readonly string[]): Promise<Outcome> {
  const directory = await Deno.makeTempDir();
  try {
    const resultFile = `${directory}/result.json`;
    const inside = [
      "deno",
      "run",
      "-A",
      "--no-check",
      "scripts/test_inside.ts",
    ];
    await runIsolated([...inside, resultFile, ...args], [directory]);
    return JSON.parse(await Deno.readTextFile(resultFile));
  } catch (error) {
    // The namespaces could not be made, or the runner itself died and said why.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const failures = ["the tests could not be run, see above"];
    return { ...emptyOutcome(), failed: 1, failures };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** What no single run can tell. */
function* overallProblems(
  runs: readonly Outcome[],
  machineBefore: readonly string[],
): Generator<string> {
  const traces = added(machineBefore, machineState());
  if (traces.length > 0) {
    yield `the machine itself has now:\n  ${traces.join("\n  ")}`;
  }
  for (const name of runs.flatMap((run) => run.skipped)) {
    if (!/\(needs .+\)$/.test(name)) {
      yield `skipped "${name}", which does not end in "(needs <kernel feature>)"`;
    }
  }
  if (runs.every(({ passed, failed }) => passed + failed === 0)) {
    yield "there was no test to run";
  }
}

async function main(args: readonly string[]): Promise<number> {
  const start = performance.now();
  const problem = await installPeers(peersOf(args)) ??
    // Inside there is no network to load dependencies from, nor the bundler.
    await deno(["install", "--frozen", "--quiet"]) ??
    await deno(["bundle", "--quiet", "src/text.ts"]);
  if (problem !== undefined) {
    console.error(problem);
    return 1;
  }
  const before = machineState();
  const runs = await Promise.all(
    args.length > 0 ? [runTests(args)] : [
      runChecks(),
      ...[...testLanes()].map((files) => runTests(["--no-check", ...files])),
      runTests(["--no-check", "--doc", ...documented]),
    ],
  );
  const problems = [...overallProblems(runs, before)];
  for (const line of runs.flatMap((run) => run.report)) console.log(line);
  const skipped = runs.flatMap((run) => run.skipped);
  for (const name of skipped) console.log(`skipped: ${name}`);
  for (const line of ending(runs)) console.log(line);
  for (const line of problems) console.log(`FAILED: ${line}`);

  const passed = runs.reduce((sum, run) => sum + run.passed, 0);
  const failed = runs.reduce((sum, run) => sum + run.failed, problems.length);
  const counts = [`${passed} passed`, `${failed} failed`];
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
  console.log(`\n${seconds(start)}\n${counts.join(", ")}`);
  return failed === 0 ? 0 : 1;
}

Deno.exit(await main(Deno.args));

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
import { installPeers } from "./install_peers.ts";
import { runIsolated } from "./isolate.ts";
import { added, machineState } from "./leaks.ts";
import type { TestCounts } from "./test_output.ts";

const root = new URL("..", import.meta.url);

/** Where examples in the documentation are looked for. */
const documented = ["mod.ts", "ffi", "src", "README.md", "ARCHITECTURE.md"];

const publicModules = ["mod.ts", "src/testing/mod.ts", "src/cli/main.ts"];

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

/** Runs the checks one after another; returns how many failed. */
async function runChecks(): Promise<number> {
  let failed = 0;
  for (const [name, args] of Object.entries(checks)) {
    const start = performance.now();
    const problem = await deno(args);
    const result = problem === undefined ? "ok    " : "FAILED";
    console.log(`${result} ${name} (${seconds(start)})`);
    if (problem === undefined) continue;
    failed++;
    console.log(problem);
  }
  return failed;
}

/** Runs `deno test` with the arguments, isolated. */
async function runTests(args: readonly string[]): Promise<TestCounts> {
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
    return { passed: 0, failed: 1, skipped: [] };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A test may be skipped only for what the kernel lacks, and has to name it. */
function skippedWithoutReason(skipped: readonly string[]): string[] {
  return skipped.filter((name) => !/\(needs .+\)$/.test(name));
}

async function main(args: string[]): Promise<number> {
  const start = performance.now();
  const problem = await installPeers() ??
    // Inside there is no network to load dependencies from.
    await deno(["install", "--frozen", "--quiet"]);
  if (problem !== undefined) {
    console.error(problem);
    return 1;
  }
  const before = machineState();
  const all = args.length === 0;
  const [failedChecks, ...runs] = await Promise.all(
    all
      ? [
        runChecks(),
        runTests(["--no-check", "tests", "examples"]),
        runTests(["--no-check", "--doc", ...documented]),
      ]
      : [Promise.resolve(0), runTests(args)],
  );
  let failed = failedChecks;
  const traces = added(before, machineState());
  if (traces.length > 0) {
    failed++;
    console.log(
      `FAILED: the machine itself has now:\n  ${traces.join("\n  ")}`,
    );
  }
  const skipped = runs.flatMap((run) => run.skipped);
  for (const name of skipped) console.log(`skipped ${name}`);
  for (const name of skippedWithoutReason(skipped)) {
    failed++;
    console.log(`FAILED: "${name}" does not end in "(needs <kernel feature>)"`);
  }
  const passed = runs.reduce((sum, run) => sum + run.passed, 0);
  failed += runs.reduce((sum, run) => sum + run.failed, 0);
  if (passed + failed === 0) {
    failed++;
    console.log("FAILED: there was no test to run");
  }
  console.log(`\n${seconds(start)}`);
  const counts = [`${passed} passed`, `${failed} failed`];
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
  console.log(counts.join(", "));
  return failed === 0 ? 0 : 1;
}

Deno.exit(await main(Deno.args));

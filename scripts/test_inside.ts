/**
 * One `deno test`, in private namespaces that must be at its end what they were
 * at its start. Started by test.ts:
 *
 *     test_inside.ts RESULT_FILE ARGUMENTS_OF_DENO_TEST…
 *
 * @module
 */
import { leftBehind, namespaceState } from "./leaks.ts";
import { type TestCounts, TestOutput } from "./test_output.ts";

/** No single test may be silent for longer. */
const SILENCE_MS = 60_000;

async function run(args: readonly string[]): Promise<TestCounts> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--allow-all",
      "--quiet",
      "--sanitize-ops",
      "--sanitize-resources",
      "--preload=scripts/leak_guard.ts",
      ...args,
    ],
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0" },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const output = new TestOutput({ module: console.log, failure: console.log });
  let hung = false;
  const watchdog = () => {
    hung = true;
    child.kill("SIGKILL");
  };
  let timer = setTimeout(watchdog, SILENCE_MS);
  let partial = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    // Deno's own remark on a slow test is no sign of life.
    if (!chunk.includes("has been running for over")) {
      clearTimeout(timer);
      timer = setTimeout(watchdog, SILENCE_MS);
    }
    const lines = (partial + chunk).split("\n");
    partial = lines.pop() ?? "";
    for (const line of lines) output.line(line);
  }
  clearTimeout(timer);
  const { code } = await child.status;
  const { counts } = output;
  if (!output.complete || (code !== 0 && counts.failed === 0)) {
    counts.failed++;
    for (const name of output.failedNames) console.log(`FAILED: ${name}`);
    const said = [...output.recent, partial].map((line) => `\n  ${line}`);
    console.log(
      hung
        ? `FAILED: silent for ${SILENCE_MS / 1000} s; the last it said:${
          said.join("")
        }`
        : `FAILED: deno test ended with code ${code}${said.join("")}`,
    );
  }
  return counts;
}

const [resultFile, ...args] = Deno.args;
if (resultFile === undefined) throw new TypeError("RESULT_FILE is missing");
const before = namespaceState();
const counts = await run(args);
const leaked = await leftBehind(before, namespaceState);
if (leaked.length > 0) {
  counts.failed++;
  console.log(`FAILED: the tests left behind:\n  ${leaked.join("\n  ")}`);
}
await Deno.writeTextFile(resultFile, JSON.stringify(counts));

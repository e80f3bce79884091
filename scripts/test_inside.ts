/**
 * One `deno test`, in private namespaces that must be at its end what they were
 * at its start. Started by test.ts:
 *
 *     test_inside.ts RESULT_FILE ARGUMENTS_OF_DENO_TEST…
 *
 * @module
 */
import { leftBehind, namespaceState } from "./leaks.ts";
import { type Outcome, TestOutput } from "./test_output.ts";

/** No single test may be silent for longer: far longer than a test waits for anything, so that it says itself what did not come. */
const SILENCE_MS = 240_000;

async function run(args: readonly string[]): Promise<Outcome> {
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
  const output = new TestOutput(console.log);
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
  const { outcome } = output;
  if (!output.complete || (code !== 0 && outcome.failed === 0)) {
    outcome.failed++;
    const why = hung
      ? `silent for ${SILENCE_MS / 1000} s`
      : `deno test ended with code ${code}`;
    const recent = [...output.recent, partial].filter((line) => line !== "");
    outcome.report.push(
      `FAILED: ${why}; the last it said:`,
      ...recent.map((line) => `  ${line}`),
    );
    outcome.failures.push(
      ...output.failedNames,
      `${why} after "${recent.at(-1)?.trim() ?? ""}"`,
    );
  }
  return outcome;
}

const [resultFile, ...args] = Deno.args;
if (resultFile === undefined) throw new TypeError("RESULT_FILE is missing");
const before = namespaceState();
const outcome = await run(args);
const leaked = await leftBehind(before, namespaceState);
if (leaked.length > 0) {
  outcome.failed++;
  outcome.left.push(...leaked);
}
await Deno.writeTextFile(resultFile, JSON.stringify(outcome));

/**
 * Reads what `deno test` prints: its reporter is the only place where tests are
 * counted without their steps and with the modules that failed to load.
 *
 * @module
 */

/** What came of a run of tests or checks. */
export interface Outcome {
  /** Tests that held; steps of a test are not counted. */
  passed: number;
  /** What failed: tests, modules that do not load, checks, the run itself. */
  failed: number;
  /** Names of tests that were not run. */
  readonly skipped: string[];
  /** Why things failed, in lines for the end of the run. */
  readonly report: string[];
  /** The same in a line each, for the very end: all that is kept of a long run. */
  readonly failures: string[];
  /** What was left behind, a line each. */
  readonly left: string[];
}

/** Nothing happened yet. */
export function emptyOutcome(): Outcome {
  return {
    passed: 0,
    failed: 0,
    skipped: [],
    report: [],
    failures: [],
    left: [],
  };
}

const MODULE = /^running (\d+) tests? from (?:\.\/)?(.+)$/;
const RESULT = /^(.+) \.\.\. (ok|FAILED|ignored)(?: |$)/;
/** In front of an error: the test and its place, or a module that does not load. */
const FAILURE = /^(.+?)(?: => (?:\.\/)?(\S+:\d+:\d+)| \(uncaught error\))$/;
const SUMMARY = /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed/;

/** Characters that a line of {@linkcode Outcome.failures} has at most, and all of them together. */
const MAX_LINE = 600;
const MAX_LINES = 3000;

/** What is to be read at the very end: each failure in a line, then what was left behind. */
export function ending(outcomes: readonly Outcome[]): string[] {
  const failures = outcomes.flatMap(({ failures }) => failures);
  const left = outcomes.flatMap(({ left }) => left);
  const share = Math.floor(MAX_LINES / Math.max(1, failures.length));
  const width = Math.min(MAX_LINE, Math.max(80, share));
  return [
    ...failures.map((line) => `FAILED: ${cut(line, width)}`),
    ...left.length === 0 ? [] : ["FAILED: the tests left behind:"],
    ...left.slice(0, 12).map((name) => `  ${cut(name, 120)}`),
    ...left.length > 12 ? [`  … and ${left.length - 12} more`] : [],
  ];
}

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}

const REMARK = /'.+' has been running for over \(.+\)$/;

/** A line of a stack trace within Deno's own test runner. */
const RUNNER_FRAME = /^ {4}at .*\(?ext:cli\/40_test\.js/;

/** Follows the output of one `deno test`, line by line. */
export class TestOutput {
  readonly outcome: Outcome = emptyOutcome();
  /** Tests that were seen to fail; Deno explains them at the very end only. */
  readonly failedNames: string[] = [];
  /** The last lines, to tell what was running when it hung. */
  readonly recent: string[] = [];
  readonly #onModule: (line: string) => void;
  #module:
    | { name: string; tests: number; failed: number; start: number }
    | undefined;
  /** The part of the output that is being read. */
  #part: "tests" | "errors" | "names" = "tests";
  /** The failure that is being explained, and what it says, until a stack begins. */
  #failure:
    | { readonly head: string; text: string[]; isRead: boolean }
    | undefined;
  #isBetween = true;
  #complete = false;

  /** @param onModule gets a line whenever the tests of a module have ended */
  constructor(onModule: (line: string) => void) {
    this.#onModule = onModule;
  }

  /** Whether the summary was seen, so that the counts are those of Deno. */
  get complete(): boolean {
    return this.#complete;
  }

  line(line: string): void {
    // Deno's own remark on a slow test, at the end of the line that the test began.
    const [said = ""] = line.split(REMARK);
    if (said !== "") this.recent.push(said);
    if (this.recent.length > 10) this.recent.shift();
    const summary = SUMMARY.exec(line);
    if (summary) {
      this.#endModule();
      this.outcome.passed = Number(summary[1]);
      this.outcome.failed = Number(summary[2]);
      this.#complete = true;
      this.#endFailure();
      this.#part = "tests";
    } else if (line === " ERRORS ") {
      this.#endModule();
      this.#part = "errors";
    } else if (line === " FAILURES ") {
      this.#endFailure();
      // Their names, which are told with more at the end.
      this.#part = "names";
    } else if (this.#part === "errors") {
      this.#explain(line);
    } else if (this.#part === "tests") {
      this.#progress(line);
    }
  }

  #explain(line: string): void {
    if (!RUNNER_FRAME.test(line)) this.outcome.report.push(line);
    const [, name, place] = FAILURE.exec(line) ?? [];
    // A message may have a line of this form, but none in front of it is empty.
    const isHead = name !== undefined && this.#isBetween;
    this.#isBetween = line === "";
    if (isHead) {
      this.#endFailure();
      const head = place === undefined ? name : `${name} (${place})`;
      this.#failure = { head, text: [], isRead: false };
    } else if (this.#failure !== undefined && !this.#failure.isRead) {
      if (/^ {4}at /.test(line)) this.#failure.isRead = true;
      else this.#failure.text.push(line);
    }
  }

  #endFailure(): void {
    if (this.#failure === undefined) return;
    const { head, text } = this.#failure;
    this.outcome.failures.push(`${head}: ${messageOf(text)}`);
    this.#failure = undefined;
  }

  #progress(line: string): void {
    const module = MODULE.exec(line);
    if (module) {
      this.#endModule();
      const [, tests, name = ""] = module;
      this.#module = {
        name,
        tests: Number(tests),
        failed: 0,
        start: performance.now(),
      };
      return;
    }
    const [, name = "", result] = RESULT.exec(line) ?? [];
    // Steps are indented. These counts serve when no summary ever comes.
    if (result === undefined || name.startsWith(" ")) return;
    if (result === "ok") this.outcome.passed++;
    if (result === "ignored") this.outcome.skipped.push(name);
    if (result === "FAILED") {
      this.outcome.failed++;
      this.failedNames.push(name);
      if (this.#module) this.#module.failed++;
    }
  }

  #endModule(): void {
    // A module with examples in its comments but without tests has none.
    if (!this.#module?.tests) return;
    const { name, tests, failed, start } = this.#module;
    const ms = Math.round(performance.now() - start);
    const result = failed === 0 ? "ok    " : "FAILED";
    this.#onModule(`${result} ${name}: ${tests} (${ms} ms)`);
    this.#module = undefined;
  }
}

/** What an error says, in a line: without the place in the source, and of a comparison only what differs. */
function messageOf(text: readonly string[]): string {
  const arrow = text.findLastIndex((line) => /^ *\^+$/.test(line));
  const said = arrow < 1
    ? text
    : text.filter((_, at) => at !== arrow && at !== arrow - 1);
  const isComparison = said.includes("+ actual - expected");
  return said.filter((line, at) =>
    line.trim() !== "" && line !== "+ actual - expected" &&
    (!isComparison || at === 0 || /^[-+:]/.test(line))
  ).map((line) => line.replace(/^error: (?:\(in promise\) )?/, "").trim())
    .join(" | ");
}

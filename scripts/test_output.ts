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
}

/** Nothing happened yet. */
export function emptyOutcome(): Outcome {
  return { passed: 0, failed: 0, skipped: [], report: [] };
}

const MODULE = /^running (\d+) tests? from (?:\.\/)?(.+)$/;
const RESULT = /^(.+) \.\.\. (ok|FAILED|ignored)(?: |$)/;
const SUMMARY = /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed/;

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
  #inFailures = false;
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
    this.recent.push(line);
    if (this.recent.length > 10) this.recent.shift();
    const summary = SUMMARY.exec(line);
    if (summary) {
      this.#endModule();
      this.outcome.passed = Number(summary[1]);
      this.outcome.failed = Number(summary[2]);
      this.#complete = true;
      this.#inFailures = false;
    } else if (this.#inFailures) {
      if (!RUNNER_FRAME.test(line)) this.outcome.report.push(line);
    } else if (line === " ERRORS ") {
      this.#endModule();
      this.#inFailures = true;
    } else {
      this.#progress(line);
    }
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

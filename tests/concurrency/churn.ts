/**
 * Many processes that create, change and remove sandboxes of one node at random, while some of them are killed.
 *
 * @module
 */
import type { LabNode } from "../../src/testing/mod.ts";
import { namespacePath } from "./agents.ts";
import { Random } from "./random.ts";

/** How much happens. */
export interface ChurnOptions {
  readonly seed: number;
  readonly processes: number;
  /** Size of the pool of names. */
  readonly names: number;
  /** How many each process does. */
  readonly operations: number;
  /** How many processes are killed and replaced. */
  readonly kills: number;
}

/** What became of one operation. */
interface Report {
  readonly operation: string;
  /** Of the error, if there was one. */
  readonly code?: string;
  /** What it found wrong on the node. */
  readonly found?: readonly unknown[];
  /** The error, when it is none of those that are in order. */
  readonly unexpected?: string;
}

/** What happened in all processes. */
export interface ChurnReport {
  /** How often each operation ended how, such as `create` or `create SandboxConflict`. */
  readonly counts: Readonly<Record<string, number>>;
  readonly operations: number;
  readonly killed: number;
  /** What checks, repairs and collections found wrong meanwhile: only what was being done when a process was killed. */
  readonly found: readonly unknown[];
  readonly unexpected: readonly string[];
}

/** Longer than most operations take: so that a kill may hit any part of one. */
const MOMENT_MS = 40;

/** Lets the processes loose, and returns when all of them are done. */
export async function churn(
  node: LabNode,
  options: ChurnOptions,
): Promise<ChurnReport> {
  const reports: Report[] = [];
  const random = new Random(options.seed);
  const perProcess = Math.ceil(options.kills / options.processes);
  let killsLeft = options.kills;
  let killed = 0;
  const lives = Array.from({ length: options.processes }, async (_, number) => {
    const kills = Math.min(perProcess, killsLeft);
    killsLeft -= kills;
    let operationsLeft = options.operations;
    for (let life = 0; operationsLeft > 0 || life < kills; life++) {
      const isToDie = life < kills;
      const worker = new Worker(node, options, {
        seed: options.seed + 1000 * (number + 1) + life,
        count: isToDie ? Infinity : operationsLeft,
      });
      const mayLive = 1 +
        random.below(Math.ceil(2 * options.operations / (kills + 2)));
      const moment = random.fraction() * MOMENT_MS;
      for await (const report of worker.reports()) {
        reports.push(report);
        operationsLeft--;
        if (isToDie && worker.reported === mayLive) worker.killSoon(moment);
      }
      const ended = await worker.end();
      if (ended === "killed") killed++;
      else if (ended !== "done") {
        reports.push({ operation: "process", unexpected: ended });
        return;
      }
    }
  });
  await Promise.all(lives);
  const counts: Record<string, number> = {};
  for (const { operation, code } of reports) {
    const key = code === undefined ? operation : `${operation} ${code}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return {
    counts: Object.fromEntries(Object.entries(counts).sort()),
    operations: reports.length,
    killed,
    found: reports.flatMap(({ found = [] }) => found),
    unexpected: reports.flatMap(({ operation, unexpected }) =>
      unexpected === undefined ? [] : [`${operation}: ${unexpected}`]
    ),
  };
}

/** One process. */
class Worker {
  readonly #child: Deno.ChildProcess;
  #killed = false;
  /** How many operations it has told of. */
  reported = 0;

  constructor(
    { node, namespace }: LabNode,
    { seed, names }: ChurnOptions,
    own: { readonly seed: number; readonly count: number },
  ) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-check",
        "--cached-only",
        "--allow-ffi",
        new URL("./fixtures/churn_worker.ts", import.meta.url).href,
        namespacePath(namespace),
        node.name,
        node.stateDir,
        JSON.stringify({ specSeed: seed, names }),
        String(own.seed),
        String(own.count),
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Until it ends. */
  async *reports(): AsyncGenerator<Report> {
    let rest = "";
    const output = this.#child.stdout.pipeThrough(new TextDecoderStream());
    for await (const chunk of output) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "ready") continue;
        this.reported++;
        yield JSON.parse(line);
      }
    }
  }

  /** In so many milliseconds, whatever it does then. */
  killSoon(ms: number): void {
    setTimeout(() => {
      try {
        this.#child.kill("SIGKILL");
        this.#killed = true;
      } catch (error) {
        // It has ended by itself, and `end()` tells how.
        if (!(error instanceof TypeError)) throw error;
      }
    }, ms);
  }

  /** How it ended. */
  async end(): Promise<string> {
    const [{ code, signal }, stderr] = await Promise.all([
      this.#child.status,
      new Response(this.#child.stderr).text(),
    ]);
    if (this.#killed && signal === "SIGKILL") return "killed";
    return code === 0 && stderr === "" ? "done" : `code ${code}: ${stderr}`;
  }
}

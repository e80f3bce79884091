/**
 * The pages of docs/ as transcripts: their commands are run, and print what the pages say.
 *
 * A block of `sh` is a script. A block of `text` right behind it, with nothing but an empty line between them, is all that
 * the script prints, where `…` stands for anything in a line, and in a line of its own for any lines. A script ends well,
 * unless the last line of the text is `(exit code 4)`. One that only looks is asked again until it sees what the page says:
 * people are slower than programs start.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { PATIENCE_MS } from "./patience.ts";

/** A script of a page. */
export interface Step {
  /** Where it is, such as `docs/podman.md:12`. */
  readonly place: string;
  /** The heading that it stands under. */
  readonly heading: string;
  readonly script: string;
  /** What it prints; undefined where the page does not say. */
  readonly text: string | undefined;
}

/** What a script came to. */
export interface Printed {
  readonly code: number;
  /** Standard output and standard error, as they come on a terminal. */
  readonly output: string;
}

const BLOCKS =
  /^```sh\n(?<script>[\s\S]*?)^```$(?:\n\n```text\n(?<text>[\s\S]*?)^```$)?/gm;

/** A page of docs/. */
export class Page {
  readonly name: string;
  readonly text: string;

  private constructor(name: string, text: string) {
    this.name = name;
    this.text = text;
  }

  /** Reads a page. */
  static read(name: string): Page {
    const url = new URL(`../../docs/${name}`, import.meta.url);
    return new Page(name, Deno.readTextFileSync(url));
  }

  /** The scripts, in their order. */
  steps(): Step[] {
    const steps = [...this.text.matchAll(BLOCKS)].map((match) => {
      const before = this.text.slice(0, match.index);
      const headings = [...before.matchAll(/^#+ (.*)$/gm)];
      return {
        place: `docs/${this.name}:${before.split("\n").length}`,
        heading: headings.at(-1)?.[1] ?? "",
        script: match.groups?.["script"] ?? "",
        text: match.groups?.["text"],
      };
    });
    assert(steps.length > 0, `docs/${this.name} has no scripts`);
    return steps;
  }

  /** The first script after a text. */
  scriptAfter(text: string): string {
    const after = this.text.split(text)[1];
    assert(after !== undefined, `docs/${this.name} does not have ${text}`);
    const script = /```sh\n([\s\S]*?)```/.exec(after)?.[1];
    assert(script !== undefined, `docs/${this.name}: no script after ${text}`);
    return script;
  }

  /**
   * Runs the page from top to bottom.
   *
   * @param events what happens by other means than the page's scripts, in front of the first script under a heading
   */
  async run(
    shell: (script: string) => Promise<Printed>,
    events: Readonly<Record<string, () => Promise<void>>> = {},
  ): Promise<void> {
    let heading: string | undefined;
    for (const step of this.steps()) {
      if (step.heading !== heading) await events[step.heading]?.();
      ({ heading } = step);
      await runStep(step, shell);
    }
  }
}

/** A script of nothing else, but a remark in front, changes nothing. */
const LOOKS =
  /^(?:# .*\n)?(?:(?:\w+=\$\(podnet inspect|busybox wget|podnet (?:ls|inspect|check|ports|node (?:status|ls|routes|picture))|crun exec|podman exec|ctr task ls)\b.*\n)+$/;

/** Runs a script, and holds what it comes to against what the page says. */
export async function runStep(
  step: Step,
  shell: (script: string) => Promise<Printed>,
): Promise<void> {
  const deadline = LOOKS.test(step.script)
    ? performance.now() + PATIENCE_MS
    : -Infinity;
  for (;;) {
    const printed = await shell(step.script);
    try {
      return assertPrinted(step, printed);
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Holds what a script came to against what the page says. */
function assertPrinted(step: Step, { code, output }: Printed): void {
  const [, text = step.text, expected = "0"] =
    /^([\s\S]*?)\(exit code (\d+)\)\n$/.exec(step.text ?? "") ?? [];
  const told = `${step.place}: ${step.script}`;
  assertEquals(`${code}`, expected, `${told}${output}`);
  if (text === undefined || pattern(text).test(`${normal(output)}\n`)) return;
  // Shows the difference, which a pattern does not.
  assertEquals(normal(output), normal(text), told);
}

function pattern(text: string): RegExp {
  const lines = normal(text).split("\n").map((line) =>
    line === "…"
      ? "(?:.*\n)*?"
      : `${line.split("…").map(RegExp.escape).join(".*")}\n`
  );
  return new RegExp(`^${lines.join("")}$`);
}

/** Without what differs with the width of columns. */
function normal(text: string): string {
  return text.replace(/ *$/gm, "").replace(/ +/g, " ").replace(/\n*$/, "");
}

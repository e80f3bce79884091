/**
 * A collection takes no compiled code of a sandbox's life away: what V8 does with each function is in its log.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { temporaryDirectory } from "../support/temporary_directory.ts";

/** Something that V8 did with the code of a function, and in which file that is. */
interface Event {
  /** In microseconds since the process began. */
  readonly at: number;
  readonly file: string;
}

/** Longer than a collection takes, and shorter than what comes before it. */
const COLLECTION_US = 100_000;

/** `src/…`, `ffi/…` or `tests/…`; other files as they are. */
function fileOf(url: string): string {
  return url.replace(/^file:.*\/(src|ffi|tests)\//, "$1/");
}

/** Functions that it compiled for speed. */
function compiled(log: string): string[] {
  const lines = log.matchAll(
    /^code-creation,JS,.* (file:\S+):\d+:\d+,[^,]*,[+*]/gm,
  );
  return [...lines].map(([, url = ""]) => fileOf(url));
}

/** Functions whose code it threw away because objects were collected. */
function thrownAway(log: string): Event[] {
  const lines = log.matchAll(
    /^code-deopt,(\d+),.*<(.*):\d+:\d+>.*,embedded weak objects cleared$/gm,
  );
  return [...lines].map(([, at, url = ""]) => ({
    at: Number(at),
    file: fileOf(url),
  }));
}

Deno.test("code stays compiled though a collection finds no sandbox being made", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/v8.log`;
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-check",
      "--cached-only",
      `--v8-flags=--expose-gc,--log-deopt,--log-code,--logfile=${path},--no-logfile-per-isolate`,
      new URL("compiled_code_main.ts", import.meta.url).pathname,
    ],
    stderr: "inherit",
  }).output();
  assertEquals(code, 0);
  const log = Deno.readTextFileSync(path);

  const files = compiled(log);
  for (const one of ["create", "remove", "live_ports"]) {
    assert(files.includes(`src/sandbox/pod/${one}.ts`), one);
  }
  const all = thrownAway(log);
  const passing = all.findLast(({ file }) =>
    file === "tests/sandbox/passing_shape.ts"
  );
  assert(passing !== undefined, "the log does not tell");
  const own = all.filter(({ at, file }) =>
    Math.abs(at - passing.at) < COLLECTION_US && /^(src|ffi)\//.test(file)
  );
  assertEquals(own.map(({ file }) => file), []);
});

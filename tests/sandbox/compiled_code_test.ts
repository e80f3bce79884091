/**
 * A collection takes no compiled code of a sandbox's life away: what V8 does with each function is in its log.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { temporaryDirectory } from "../support/temporary_directory.ts";

Deno.test("code stays compiled though a collection finds no sandbox being made", async () => {
  using directory = temporaryDirectory();
  const log = `${directory.path}/v8.log`;
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-check",
      "--cached-only",
      `--v8-flags=--expose-gc,--log-deopt,--logfile=${log},--no-logfile-per-isolate`,
      new URL("compiled_code_main.ts", import.meta.url).pathname,
    ],
    stderr: "inherit",
  }).output();
  assertEquals(code, 0);
  const thrownAway = Deno.readTextFileSync(log).split("\n")
    .filter((line) => line.endsWith("embedded weak objects cleared"))
    .map((line) => /<(.*):\d+:\d+>/.exec(line)?.[1] ?? line);
  const own = thrownAway.filter((place) => place.startsWith("file:"))
    .map((place) => place.replace(/^.*\/(src|ffi|tests)\//, "$1/"));
  // The code of one that has no shape, which shows that the log would tell.
  assertEquals([...new Set(own)], ["tests/sandbox/compiled_code_main.ts"]);
});

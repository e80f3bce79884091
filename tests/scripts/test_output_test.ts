/** The test runner counts what Deno counts. */
import { assert, assertEquals } from "@std/assert";
import { emptyOutcome, ending, TestOutput } from "../../scripts/test_output.ts";

function read(text: string): {
  readonly output: TestOutput;
  readonly modules: string[];
} {
  const modules: string[] = [];
  const output = new TestOutput((line) => {
    modules.push(line.replace(/\(\d+ ms\)/, "(… ms)"));
  });
  for (const line of text.split("\n")) output.line(line);
  return { output, modules };
}

const whole = `running 2 tests from ./tests/a_test.ts
one ...
  a step ... ok (0ms)
  another ... ok (0ms)
one ... ok (1ms)
two (needs SCTP) ... ignored (0ms)
running 1 test from ./tests/b_test.ts
three ... FAILED (1ms)
Uncaught error from ./tests/c_test.ts FAILED

 ERRORS 

three => ./tests/b_test.ts:1:1
error: Error: boom
    at file:///b_test.ts:1:1
    at innerWrapped (ext:cli/40_test.js:300:11)

 FAILURES 

three => ./tests/b_test.ts:1:1
./tests/c_test.ts (uncaught error)

FAILED | 1 passed (2 steps) | 2 failed | 1 ignored (6ms)

error: Test failed`;

Deno.test("TestOutput counts tests without steps, and modules that did not load", () => {
  const { output, modules } = read(whole);
  assertEquals(output.complete, true);
  const { passed, failed, skipped } = output.outcome;
  assertEquals([passed, failed], [1, 2]);
  assertEquals(skipped, ["two (needs SCTP)"]);
  assertEquals(modules, [
    "ok     tests/a_test.ts: 2 (… ms)",
    "FAILED tests/b_test.ts: 1 (… ms)",
  ]);
});

Deno.test("TestOutput reports failures without the frames of the runner", () => {
  assertEquals(read(whole).output.outcome.report, [
    "",
    "three => ./tests/b_test.ts:1:1",
    "error: Error: boom",
    "    at file:///b_test.ts:1:1",
    "",
  ]);
});

Deno.test("TestOutput tells each failure in a line: name, place and message, of a comparison what differs", () => {
  const { failures } = read(`
 ERRORS 

one => ./tests/a_test.ts:2:6
error: AssertionError: Expected values to be strictly deep-equal:
+ actual - expected

  {
+   a: 1,
-   a: 2,
    b: 3
  }
: what it is about
  return new AssertionError(
         ^
    at failure (file:///mod.ts:18:10)

two ... inner => ./tests/a_test.ts:3:41
error: Error: boom => ./not/a/place:1:1

second line
    at file:///a_test.ts:3:69
Caused by: TypeError: deep
    at file:///a_test.ts:3:108

./tests/c_test.ts (uncaught error)
error: (in promise) TypeError: no such module
    at file:///c_test.ts:1:1

 FAILURES 

one => ./tests/a_test.ts:2:6
`).output.outcome;
  assertEquals(failures, [
    "one (tests/a_test.ts:2:6): AssertionError: Expected values to be strictly deep-equal: | +   a: 1, | -   a: 2, | : what it is about",
    "two ... inner (tests/a_test.ts:3:41): Error: boom => ./not/a/place:1:1 | second line",
    "./tests/c_test.ts: TypeError: no such module",
  ]);
});

Deno.test("ending() fits into what is kept of a run, with all names, and what was left behind last", () => {
  const failures = Array.from(
    { length: 20 },
    (_, i) => `test ${i}: ${"x".repeat(1000)}`,
  );
  const left = Array.from({ length: 20 }, (_, i) => `process ${i}`);
  const lines = ending([
    { ...emptyOutcome(), failures },
    { ...emptyOutcome(), left },
  ]);
  assert(lines.join("\n").length < 3900);
  assertEquals(
    lines.slice(0, 20).map((line) => line.slice(0, 16)),
    failures.map((line) => `FAILED: ${line}`.slice(0, 16)),
  );
  assertEquals(lines.slice(20, 22), [
    "FAILED: the tests left behind:",
    "  process 0",
  ]);
  assertEquals(lines.at(-1), "  … and 8 more");
  assertEquals(ending([emptyOutcome()]), []);
});

Deno.test("TestOutput keeps what it saw when the run was cut off", () => {
  const { output } = read(whole.slice(0, whole.indexOf("Uncaught")));
  assertEquals(output.complete, false);
  assertEquals([output.outcome.passed, output.outcome.failed], [1, 1]);
  assertEquals(output.failedNames, ["three"]);
});

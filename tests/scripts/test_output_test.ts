/** The test runner counts what Deno counts. */
import { assertEquals } from "@std/assert";
import { TestOutput } from "../../scripts/test_output.ts";

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
    " FAILURES ",
    "",
    "three => ./tests/b_test.ts:1:1",
    "./tests/c_test.ts (uncaught error)",
    "",
  ]);
});

Deno.test("TestOutput keeps what it saw when the run was cut off", () => {
  const { output } = read(whole.slice(0, whole.indexOf("Uncaught")));
  assertEquals(output.complete, false);
  assertEquals([output.outcome.passed, output.outcome.failed], [1, 1]);
  assertEquals(output.failedNames, ["three"]);
});

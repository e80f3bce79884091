import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Sample, SoakResult } from "../../bench/soak.ts";
import { findings } from "../../bench/soak_verdict.ts";
import { fitLine, percentile, summarise } from "../../bench/statistics.ts";

Deno.test("percentile() is the value of the nearest rank", () => {
  const hundred = Array.from({ length: 100 }, (_, at) => at + 1);
  assertEquals(percentile(hundred, 0.5), 50);
  assertEquals(percentile(hundred, 0.99), 99);
  assertEquals(percentile([7], 0.99), 7);
  assertEquals(percentile([1, 2, 3], 0), 1);
});

Deno.test("summarise() sorts by size and not by text", () => {
  assertEquals(summarise([10, 9, 200, 1]), {
    n: 4,
    min: 1,
    median: 9,
    p99: 200,
    mean: 55,
    max: 200,
  });
});

Deno.test("summarise() throws when there is nothing", () => {
  assertThrows(() => summarise([]), RangeError);
});

Deno.test("fitLine() finds the line, and how sure it is", () => {
  const exact = fitLine([[0, 5], [1, 7], [2, 9], [3, 11]]);
  assertAlmostEquals(exact.slope, 2);
  assertAlmostEquals(exact.intercept, 5);
  assertAlmostEquals(exact.slopeError, 0);
  // By the textbook: residuals 0.3, −0.9, 0.9, −0.3; 1.8 / 2 / 5 is the square of the error.
  const noisy = fitLine([[0, 1], [1, 0], [2, 2], [3, 1]]);
  assertAlmostEquals(noisy.slope, 0.2);
  assertAlmostEquals(noisy.slopeError, Math.sqrt(1.8 / 2 / 5));
});

Deno.test("fitLine() refuses points that have no noise to tell from a slope", () => {
  assertThrows(() => fitLine([[0, 1], [1, 2]]), RangeError);
});

/** A soak whose samples are these, by what was counted and what was measured. */
function soaked(
  counts: readonly number[],
  bytes: readonly number[],
): SoakResult {
  const samples = counts.map((count, at): Sample => ({
    cycles: at * 1000,
    exact: { descriptors: count },
    flat: { memory: bytes[at] ?? 0 },
    told: {},
    times: {},
  }));
  const [before] = samples;
  const after = samples.at(-1);
  if (before === undefined || after === undefined) throw new RangeError();
  return { before, after, samples, longestStallMs: 0 };
}

function complaints(result: SoakResult): string[] {
  return findings(result).filter(({ fine }) => !fine).map(({ name }) => name);
}

Deno.test("findings() complains of one descriptor more", () => {
  const memory = [100, 100, 100, 100, 100];
  assertEquals(complaints(soaked([9, 9, 9, 9, 9], memory)), []);
  assertEquals(complaints(soaked([9, 9, 10, 9, 9], memory)), ["descriptors"]);
  assertEquals(complaints(soaked([9, 9, 9, 9, 10], memory)), [
    "descriptors",
    "descriptors, before and after all",
  ]);
});

Deno.test("findings() complains of memory that grows by more than noise, to the end", () => {
  const same = [9, 9, 9, 9, 9, 9, 9, 9];
  const steady = [50, 80, 90, 100, 103, 99, 104, 101];
  assertEquals(complaints(soaked(same, steady)), []);
  const growing = [100, 100, 100, 100, 110, 119, 131, 140];
  assertEquals(complaints(soaked(same, growing)), ["memory"]);
});

/** What the pages say of a run is what was measured. */
import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { judge } from "../../bench/goals.ts";
import type { Machine } from "../../bench/machine.ts";
import {
  performanceSection,
  readmeSection,
  withSection,
} from "../../bench/pages.ts";
import { Results } from "../../bench/results.ts";

const machine: Machine = {
  kernel: "6.18",
  cpu: "some processor",
  cores: 2,
  memoryMb: 4096,
  deno: "2.9.6",
  loadBefore: 0.1,
  loadAfter: 1,
  time: "2026-11-29T00:00:00.000Z",
};

/** One that has measured the creation of pods, and the command. */
function run() {
  const results = new Results();
  const row = { measure: "create", unit: "µs" };
  for (const pods of [0, 500]) {
    const conditions = { pods, ports: 1 };
    results.add({ ...row, subject: "podnet", conditions }, [1200], [1000]);
    results.add({ ...row, subject: "C", conditions }, [600 + pods], [500]);
  }
  const once = { measure: "create, one process", conditions: {}, unit: "µs" };
  results.add({ ...once, subject: "podnet command" }, [30_000]);
  results.add({ ...once, subject: "CNI bridge" }, [50_000]);
  results.add({ ...once, subject: "Deno, empty program" }, [15_000]);
  const profile = { measure: "where remove goes", unit: "µs" };
  const unmount = { ...profile, subject: "umount2", conditions: { times: 1 } };
  results.add(unmount, [70]);
  results.add({ ...profile, subject: "C", conditions: {} }, [45]);
  return { machine, goals: judge(results), rows: results.rows };
}

Deno.test("readmeSection() has podnet beside C, a sentence for the command, and says how many goals are met", () => {
  const section = readmeSection(run());
  assertMatch(
    section,
    /1\.20 \(C 0\.600\) +\| +1\.20 \(C 1\.10\) +\| – \(C –\)/,
  );
  assertStringIncludes(
    section,
    "`podnet create` takes 30 ms, 0.600× one chain of CNI plugins.",
  );
  // Creation at 500 pods, by its median and its 99th percentile.
  assertStringIncludes(section, "2 of 7 goals are met");
  assertStringIncludes(section, "Linux 6.18, some processor, 2 cores");
});

Deno.test("performanceSection() lists every goal and measure, met or not", () => {
  const section = performanceSection(run());
  assertMatch(section, /\| +2× +\| +\| no/);
  assertMatch(section, /\| +1\.09× +\| +\| yes/);
  // What an idle program of Deno would reach.
  assertMatch(section, /\| +0\.6× +\| +0\.3× +\| no/);
  assertMatch(section, /\| umount2 +\| +1 +\| +70 \|/);
  assertMatch(section, /\| all of it in C +\| +\| +45 \|/);
  assertStringIncludes(section, "**create**, µs:");
  assertStringIncludes(section, "**create, one process**, µs:");
  assertEquals(section.includes("**throughput**"), false);
});

Deno.test("withSection() replaces what is between the marks of both pages, again and again", async () => {
  for (const page of ["README.md", "docs/performance.md"]) {
    const url = new URL(`../../${page}`, import.meta.url);
    const text = await Deno.readTextFile(url);
    const once = withSection(text, "new");
    assertStringIncludes(once, "\n\nnew\n\n<!-- end -->");
    assertEquals(withSection(once, "new"), once);
  }
  assertThrows(() => withSection("# no marks", "new"), RangeError);
});

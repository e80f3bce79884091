import { assertEquals, assertStringIncludes } from "@std/assert";
import { judge } from "../../bench/goals.ts";
import { charts } from "../../bench/plots.ts";
import { phrase, Results } from "../../bench/results.ts";
import { byName, countCalls } from "../../bench/strace.ts";
import { linearTicks, logarithmicTicks, svgChart } from "../../bench/svg.ts";
import { tickText } from "../../bench/svg.ts";
import { markdownTable, number, terminalTable } from "../../bench/table.ts";

Deno.test("linearTicks() are round numbers that enclose the values", () => {
  assertEquals(linearTicks(2000), [0, 500, 1000, 1500, 2000]);
  assertEquals(linearTicks(7), [0, 2, 4, 6, 8]);
  assertEquals(linearTicks(0).at(0), 0);
});

Deno.test("logarithmicTicks() are powers of ten that enclose the values", () => {
  assertEquals(logarithmicTicks(3, 450), [1, 10, 100, 1000]);
  assertEquals(logarithmicTicks(10, 10), [10, 100]);
});

Deno.test("tickText() is short", () => {
  assertEquals([0, 50, 1500, 60_000, 2e6].map(tickText), [
    "0",
    "50",
    "1.5k",
    "60k",
    "2M",
  ]);
});

Deno.test("svgChart() puts points where they belong and escapes names", () => {
  const svg = svgChart({
    title: "A < B & C",
    xAxis: "x",
    yAxis: "y",
    lines: [{ name: "<line>", points: [[0, 0], [100, 100]] }],
  });
  assertStringIncludes(svg, "A &lt; B &amp; C");
  assertStringIncludes(svg, "&lt;line>");
  // From the lower left corner of the plot to its upper right one.
  assertStringIncludes(svg, 'points="70.0,348.0 530.0,46.0"');
});

Deno.test("svgChart() on a logarithmic scale puts 10 half-way between 1 and 100", () => {
  const svg = svgChart({
    title: "",
    xAxis: "",
    yAxis: "",
    logarithmic: true,
    lines: [{ name: "", points: [[0, 1], [50, 10], [100, 100]] }],
  });
  assertStringIncludes(svg, 'points="70.0,348.0 300.0,197.0 530.0,46.0"');
});

Deno.test("number() keeps three digits of fractions and all of whole numbers", () => {
  assertEquals([0, 12345, 1.23456, 12.345, 1234.5, 0.01234].map(number), [
    "0",
    "12,345",
    "1.23",
    "12.3",
    "1,235",
    "0.0123",
  ]);
});

Deno.test("terminalTable() and markdownTable() line columns up, numbers to the right", () => {
  const rows = [["create", "9.5"], ["rm", "1,234"]];
  assertEquals(
    terminalTable(["what", "µs"], rows),
    "what    µs\n──────  ─────\ncreate    9.5\nrm      1,234",
  );
  assertEquals(
    markdownTable(["what", "µs"], rows),
    "| what   | µs    |\n| ------ | ----- |\n| create |   9.5 |\n| rm     | 1,234 |",
  );
});

Deno.test("countCalls() counts a call once, and every message of it", () => {
  const calls = countCalls([
    '12  openat(AT_FDCWD, "/x", O_RDONLY) = 3',
    "12  sendto(4, [[{nlmsg_len=20, nlmsg_type=1}, {a=1}], [{nlmsg_len=36, nlmsg_type=2}, {b=1}]], 56, 0) = 56",
    "12  recvfrom(4, [{nlmsg_len=36, nlmsg_type=NLMSG_ERROR}], 65536, 0) = 36",
    "13  futex(0x1, FUTEX_WAIT <unfinished ...>",
    "13  <... futex resumed>) = 0",
    "12  --- SIGCHLD {si_signo=SIGCHLD} ---",
    "",
  ].join("\n"));
  assertEquals(calls.calls, 4);
  assertEquals(calls.messages, 2);
  assertEquals(
    byName(calls, 2),
    "openat 0.5, sendto 0.5, recvfrom 0.5, futex 0.5",
  );
});

/** Results of a create that took so long with so many pods, and of the same in C. */
function results(podnet: number, limit: number): Results {
  const results = new Results();
  for (const pods of [0, 500]) {
    const conditions = { pods, ports: 1 };
    const row = { measure: "create", conditions, unit: "µs" };
    results.add({ ...row, subject: "podnet" }, [podnet], [podnet]);
    results.add({ ...row, subject: "C" }, [limit], [limit]);
  }
  return results;
}

Deno.test("judge() says which goals are met, and nothing of those that were not measured", () => {
  const verdicts = judge(results(140, 100));
  assertEquals(
    verdicts.slice(0, 3),
    [
      {
        goal: "create with 0 pods, median, of C: at most 1.3×",
        reached: "1.4×",
        met: false,
      },
      {
        goal: "create with 0 pods, p99, of C: at most 1.5×",
        reached: "1.4×",
        met: true,
      },
      {
        goal: "create with 0 pods, CPU, of C: at most 1.6×",
        reached: "1.4×",
        met: true,
      },
    ],
  );
  assertEquals(verdicts.length, 6);
});

Deno.test("charts() draws what has more than one point", () => {
  const found = charts(results(2, 1));
  assertEquals([...found.keys()], ["create"]);
  assertEquals(found.get("create")?.lines, [
    { name: "podnet", points: [[0, 2], [500, 2]] },
    { name: "C", points: [[0, 1], [500, 1]] },
  ]);
});

Deno.test("phrase() tells conditions in words", () => {
  assertEquals(
    phrase({ path: "host port", mappings: 60_000 }),
    "host port, 60,000 mappings",
  );
  assertEquals(phrase({ pods: 0, ports: 1 }), "0 pods, 1 port");
});

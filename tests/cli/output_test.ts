import { assertEquals } from "@std/assert";
import { formatPorts, mergeRanges } from "../../src/cli/describe.ts";
import { formatTable } from "../../src/cli/output.ts";

Deno.test("formatTable() aligns columns and fills empty cells", () => {
  assertEquals(
    formatTable([{ a: "x", b: "" }, { a: "long one", b: "y" }], [
      ["A", (row) => row.a],
      ["B", (row) => row.b],
      ["LAST", () => "z"],
    ]),
    ["A         B  LAST", "x         -  z", "long one  y  z"],
  );
});

Deno.test("formatTable() is its headings when there are no rows", () => {
  assertEquals(formatTable([], [["A", String], ["B", String]]), ["A  B"]);
});

Deno.test("formatTable() keeps a row one line when a cell holds control characters", () => {
  assertEquals(
    formatTable(["a\nb\x1b[31m"], [["A", (text) => text]])[1],
    "a\\u000ab\\u001b[31m",
  );
});

const tcp = (hostPort: number, containerPort: number, hostIP?: string) => ({
  protocol: "tcp" as const,
  hostPort,
  containerPort,
  ...(hostIP !== undefined && { hostIP }),
});

Deno.test("formatPorts() shows neighbouring ports as a range", () => {
  assertEquals(
    formatPorts([
      tcp(80, 8080),
      tcp(81, 8081),
      tcp(81, 1, "127.0.0.1"),
      tcp(82, 8082),
      tcp(83, 9000),
      tcp(90, 90, "::1"),
      { ...tcp(53, 53), protocol: "udp" },
    ]),
    "80-82->8080-8082/tcp, 127.0.0.1:81->1/tcp, 83->9000/tcp, [::1]:90->90/tcp, 53->53/udp",
  );
});

Deno.test("mergeRanges() leaves a lone port as it is", () => {
  assertEquals<unknown>(mergeRanges([tcp(80, 80)]), [tcp(80, 80)]);
});

import { assertEquals, assertThrows } from "@std/assert";
import { parseBandwidth } from "../../src/net/bandwidth.ts";

Deno.test("parseBandwidth() reads what Kubernetes reads", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["64000", 64_000],
    ["10M", 10_000_000],
    ["1.5G", 1_500_000_000],
    ["0.1k", 100],
    ["512Ki", 524_288],
    ["1e6", 1_000_000],
    ["12E2", 1200],
    ["1P", 1e15],
    ["1.0000001G", 1_000_000_100],
  ];
  for (const [text, bits] of cases) assertEquals(parseBandwidth(text), bits);
});

Deno.test("parseBandwidth() refuses what is no whole number of bits", () => {
  for (
    const text of [
      "",
      "M",
      "10m",
      "10 M",
      "10Mbit",
      "-1M",
      "1.5",
      "1e-3",
      "0x10",
      "100E",
      "1K",
      "Infinity",
    ]
  ) {
    assertThrows(() => parseBandwidth(text), RangeError, "write bits a second");
  }
});

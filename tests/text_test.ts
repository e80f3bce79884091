import { assertEquals } from "@std/assert";
import {
  bracketed,
  compareText,
  editDistance,
  printable,
} from "../src/text.ts";

Deno.test("printable() escapes what moves a terminal's cursor, and leaves other characters alone", () => {
  assertEquals(
    printable("a\nb\x1b[31m\x9b\u2028\u202ec"),
    "a\\u000ab\\u001b[31m\\u009b\\u2028\\u202ec",
  );
  assertEquals(printable("Ünïcødé … ok"), "Ünïcødé … ok");
});

Deno.test("compareText() orders by code units", () => {
  assertEquals(["b", "a", "B", "ä"].sort(compareText), ["B", "a", "b", "ä"]);
});

Deno.test("bracketed() puts brackets around IPv6 addresses and nothing else", () => {
  assertEquals(["::1", "127.0.0.1"].map(bracketed), ["[::1]", "127.0.0.1"]);
});

Deno.test("editDistance() counts letters inserted, left out and replaced", () => {
  for (
    const [a, b, distance] of [
      ["", "", 0],
      ["", "abc", 3],
      ["abc", "", 3],
      ["ports", "port", 1],
      ["nmae", "name", 2],
      ["kitten", "sitting", 3],
    ] as const
  ) assertEquals(editDistance(a, b), distance, `${a} ${b}`);
});

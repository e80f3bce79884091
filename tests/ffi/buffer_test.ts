import { assertEquals, assertThrows } from "@std/assert";
import { cInt, cPath, cString, fromCString } from "../../ffi/buffer.ts";

Deno.test("cString() ends UTF-8 with a zero byte", () => {
  assertEquals(cString("é"), new Uint8Array([0xc3, 0xa9, 0]));
});

Deno.test("cString() refuses a zero character, at which C would cut the path off", () => {
  assertThrows(
    () => cString("/run/x\0/etc/passwd"),
    TypeError,
    "zero character",
  );
});

Deno.test("cPath() ends a path after a longer one, and takes what is no path as cString() does", () => {
  cPath("/a/longer/path");
  for (const path of ["/short", "", "/é", "x".repeat(5000)]) {
    assertEquals(fromCString(cPath(path)), path);
  }
  assertThrows(() => cPath("/run/x\0/etc/passwd"), TypeError);
});

Deno.test("fromCString() ends at the zero byte or with the buffer", () => {
  const bytes = new Uint8Array([0x61, 0x62, 0, 0x63]);
  assertEquals(fromCString(bytes), "ab");
  assertEquals(fromCString(bytes, 3), "c");
});

Deno.test("cInt() is four bytes, least significant first", () => {
  assertEquals(cInt(-2), new Uint8Array([0xfe, 0xff, 0xff, 0xff]));
});

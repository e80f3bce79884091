import { assertEquals, assertThrows } from "@std/assert";
import { cInt, cString, fromCString } from "../../ffi/buffer.ts";

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

Deno.test("fromCString() ends at the zero byte or with the buffer", () => {
  const bytes = new Uint8Array([0x61, 0x62, 0, 0x63]);
  assertEquals(fromCString(bytes), "ab");
  assertEquals(fromCString(bytes, 3), "c");
});

Deno.test("cInt() is four bytes, least significant first", () => {
  assertEquals(cInt(-2), new Uint8Array([0xfe, 0xff, 0xff, 0xff]));
});

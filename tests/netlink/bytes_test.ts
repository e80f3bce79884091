/** The writer, above all where its buffer grows. */
import { assertEquals } from "@std/assert";
import { ByteWriter } from "../../src/netlink/bytes.ts";

Deno.test("ByteWriter loses nothing when it grows, whatever is written then", () => {
  const writes: readonly [string, (out: ByteWriter) => void, string][] = [
    ["u8", (out) => out.u8(0xab), "ab"],
    ["u16", (out) => out.u16(0x1234, false), "1234"],
    ["u32", (out) => out.u32(0x12345678, false), "12345678"],
    ["u64", (out) => out.u64(0x0102030405060708n, false), "0102030405060708"],
    ["bytes", (out) => out.bytes(Uint8Array.of(1, 2, 3)), "010203"],
    ["text", (out) => void out.text("abc"), "616263"],
    ["non-ASCII text", (out) => void out.text("abcé"), "616263c3a9"],
    ["reserve", (out) => void out.reserve(5), "0000000000"],
    ["begin", (out) => void out.begin(0x1234), "00003412"],
  ];
  for (const [name, write, hex] of writes) {
    for (let before = 0; before <= 16; before++) {
      const out = new ByteWriter(16);
      for (let i = 0; i < before; i++) out.u8(0xff);
      write(out);
      out.u8(0xee);
      assertEquals(
        out.finish().toHex(),
        "ff".repeat(before) + hex + "ee",
        `${name} after ${before} bytes`,
      );
    }
  }
});

Deno.test("ByteWriter begins anew with zeroes after reset()", () => {
  const out = new ByteWriter(8);
  out.bytes(new Uint8Array(20).fill(0xff));
  out.reset();
  assertEquals(out.length, 0);
  out.reserve(20);
  assertEquals(out.finish(), new Uint8Array(20));
});

Deno.test("ByteWriter gives a very large buffer back after reset()", () => {
  const out = new ByteWriter(8);
  out.bytes(new Uint8Array(3 << 20).fill(0xff));
  out.reset();
  out.reserve(16);
  const written = out.written();
  assertEquals(written, new Uint8Array(16));
  assertEquals(written.buffer.byteLength <= 1 << 20, true);
});

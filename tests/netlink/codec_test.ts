/** Scalars: what fits, what does not, and in which byte order. */
import { assertEquals, assertThrows } from "@std/assert";
import { decode, encode } from "../../src/netlink/attrs.ts";
import {
  be16,
  be32,
  be64,
  bytes,
  choice,
  type Codec,
  CodecError,
  converted,
  cstring,
  flag,
  i32,
  sbe32,
  u16,
  u32,
  u64,
  u8,
} from "../../src/netlink/codec.ts";

Deno.test("integer codecs write the byte order that their name says", () => {
  const cases: readonly [Codec<number>, number, string][] = [
    [u8, 0x12, "12"],
    [u16, 0x1234, "3412"],
    [u32, 0x12345678, "78563412"],
    [i32, -2, "feffffff"],
    [be16, 0x1234, "1234"],
    [be32, 0x12345678, "12345678"],
    [sbe32, -2, "fffffffe"],
    [u8, 0xff, "ff"],
    [u16, 0xffff, "ffff"],
    [u32, 0xffffffff, "ffffffff"],
    [i32, -0x80000000, "00000080"],
  ];
  for (const [codec, value, hex] of cases) {
    assertEquals(encode(codec, value).toHex(), hex, codec.type);
    assertEquals(decode(codec, Uint8Array.fromHex(hex)), value, codec.type);
  }
  assertEquals(encode(u64, 0x0102030405060708n).toHex(), "0807060504030201");
  assertEquals(encode(be64, 0x0102030405060708n).toHex(), "0102030405060708");
  const all = Uint8Array.fromHex("ffffffffffffffff");
  assertEquals(decode(u64, all), 0xffffffffffffffffn);
  assertEquals(decode(be64, all), 0xffffffffffffffffn);
});

Deno.test("integer codecs refuse what does not fit", () => {
  const cases: readonly [Codec<number>, readonly number[]][] = [
    [u8, [-1, 256, 1.5, NaN]],
    [u16, [-1, 0x10000, Infinity]],
    [u32, [-1, 0x100000000, 0.1]],
    [be16, [-1, 0x10000]],
    [be32, [-1, 0x100000000]],
    [i32, [0x80000000, -0x80000001, 0.5, NaN]],
    [sbe32, [0x80000000]],
  ];
  for (const [codec, values] of cases) {
    for (const value of values) {
      assertThrows(() => encode(codec, value), CodecError, codec.type);
    }
  }
  for (const value of [-1n, 1n << 64n]) {
    assertThrows(() => encode(u64, value), CodecError, "u64");
  }
});

Deno.test("integer codecs refuse bytes of another size", () => {
  for (const codec of [u8, u16, u32, i32, be16, be32, sbe32, u64, be64]) {
    for (const size of [0, 3, 5, 9]) {
      assertThrows(
        () => decode(codec as Codec<unknown>, new Uint8Array(size)),
        CodecError,
        "bytes, got",
      );
    }
  }
});

Deno.test("cstring() writes UTF-8 and a zero, and reads up to the zero", () => {
  const codec = cstring(16);
  assertEquals(encode(codec, "eth0").toHex(), "6574683000");
  assertEquals(encode(codec, "é").toHex(), "c3a900");
  assertEquals(decode(codec, Uint8Array.fromHex("6574683000ffff")), "eth0");
  assertEquals(decode(codec, Uint8Array.fromHex("c3a900ffff")), "é");
  // The kernel leaves the zero out of some strings.
  assertEquals(decode(codec, Uint8Array.fromHex("65746830")), "eth0");
  assertEquals(decode(codec, Uint8Array.fromHex("61c3a9")), "aé");
  assertEquals(decode(codec, new Uint8Array()), "");
});

Deno.test("cstring() reads no byte beyond its payload", () => {
  const codec = cstring();
  const table = Uint8Array.fromHex("c3a9616200");
  assertEquals(decode(codec, table.subarray(0, 3)), "éa");
});

Deno.test("cstring() refuses text that is too long, would be cut off, or cannot be written", () => {
  const codec = cstring(4);
  assertEquals(encode(codec, "abc").length, 4);
  assertThrows(() => encode(codec, "abcd"), CodecError, "longer than 3");
  assertThrows(() => encode(codec, "éé"), CodecError, "longer than 3");
  assertThrows(() => encode(codec, "a\0b"), CodecError, "contains a NUL");
  for (const half of ["\ud800", "a\udc00"]) {
    assertThrows(() => encode(codec, half), CodecError, "half a character");
  }
});

Deno.test("choice() takes names and numbers, and keeps numbers that have no name", () => {
  const codec = choice(be32, { accept: 1, drop: 0 });
  assertEquals(encode(codec, "accept").toHex(), "00000001");
  assertEquals(encode(codec, 7).toHex(), "00000007");
  assertEquals(decode(codec, Uint8Array.fromHex("00000000")), "drop");
  assertEquals(decode(codec, Uint8Array.fromHex("00000007")), 7);
  const other = codec as Codec<unknown>;
  assertThrows(() => encode(other, "reject"), CodecError, "is not one of");
  assertThrows(() => encode(other, "toString"), CodecError, "is not one of");
});

Deno.test("flag and bytes read what is there", () => {
  assertEquals(encode(flag, true).length, 0);
  assertEquals(decode(flag, new Uint8Array()), true);
  assertEquals(decode(bytes, Uint8Array.of(1, 2)), Uint8Array.of(1, 2));
});

Deno.test("converted() makes a CodecError of a RangeError and refuses to write", () => {
  const even = converted(u8, (n) => {
    if (n % 2 === 1) throw new RangeError(`${n} is odd`);
    return { half: n / 2 };
  });
  assertEquals(decode(even, Uint8Array.of(8)), { half: 4 });
  assertThrows(() => decode(even, Uint8Array.of(9)), CodecError, "9 is odd");
  assertThrows(() => encode(even, { half: 1 }), TypeError, "reading only");
});

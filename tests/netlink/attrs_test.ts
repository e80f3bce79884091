/** Attribute tables: round trips, unknown attributes, names in errors, damaged input. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  attrs,
  decode,
  encode,
  list,
  many,
  type UnknownAttr,
} from "../../src/netlink/attrs.ts";
import { body, struct } from "../../src/netlink/struct.ts";
import { variant } from "../../src/netlink/variant.ts";
import {
  be32,
  bytes,
  choice,
  type Codec,
  CodecError,
  cstring,
  flag,
  i32,
  u16,
  u64,
  u8,
} from "../../src/netlink/codec.ts";
import { missingAt, pathAt } from "../../src/netlink/inspect.ts";

const inner = attrs("IN_", { word: [1, be32], name: [2, cstring(8)] });
const header = struct("head", { family: u8, pad: u8, kind: u16, index: i32 });
const table = attrs("OUT_", {
  byte: [1, u8],
  big: [2, u64],
  name: [3, cstring(16)],
  blob: [4, bytes],
  present: [5, flag],
  nest: [6, inner],
  items: [7, list(1, inner)],
  repeats: [8, many(u16)],
  driver: [9, variant(1, 2, { veth: inner, empty: attrs("E_", {}) })],
  colour: [10, choice(u8, { red: 1, green: 2 })],
  peer: [11, body(header, inner)],
});
const whole = body(header, table);
type Whole = ReturnType<typeof whole.read>;

Deno.test("attrs() writes header, payload and padding as the kernel expects", () => {
  // struct nlattr { __u16 nla_len; __u16 nla_type; }, payload padded to 4 bytes, nests flagged 0x8000.
  assertEquals(
    encode(table, { byte: 0xab, nest: { word: 1 } }).toHex(),
    "05000100ab000000" + "0c000680" + "08000100" + "00000001",
  );
});

Deno.test("attrs() leaves out attributes that are undefined", () => {
  const sparse = { byte: undefined, name: "x" } as unknown as { name: string };
  assertEquals(encode(table, sparse), encode(table, { name: "x" }));
});

Deno.test("a table with two rows of one number cannot be used", () => {
  const twice = attrs("X_", { a: [1, u8], b: [1, u16] });
  assertThrows(
    () => encode(twice, { a: 1 }),
    TypeError,
    "b repeats attribute 1",
  );
});

Deno.test("attrs() refuses an attribute that its length field has no room for", () => {
  const error = assertThrows(
    () => encode(table, { blob: new Uint8Array(0x10000) }),
    CodecError,
  );
  assertEquals(
    error.message,
    "blob: attribute of 65540 bytes exceeds 65535",
  );
});

Deno.test("struct() fills missing fields with zero and refuses short input", () => {
  assertEquals(encode(header, { index: -1 }).toHex(), "00000000ffffffff");
  assertEquals(header.size, 8);
  assertThrows(
    () => encode(header, { kind: -1 }),
    CodecError,
    "kind: -1 is not a u16",
  );
  assertThrows(
    () => decode(header, new Uint8Array(7)),
    CodecError,
    "head needs 8 bytes, got 7",
  );
});

Deno.test("body() reads attributes after a header that is not a multiple of 4", () => {
  const odd = body(struct("odd", { a: u8, b: u16 }), inner);
  const value = { header: { a: 1, b: 2 }, attrs: { word: 5 } };
  const encoded = encode(odd, value);
  assertEquals(encoded.toHex(), "01020000" + "0800010000000005");
  assertEquals(decode(odd, encoded), value);
  // A header alone, without padding, has no attributes.
  assertEquals(decode(odd, encoded.subarray(0, 3)).attrs, {});
});

Deno.test("variant() keeps the other attributes of its nest", () => {
  // A bridge port: IFLA_INFO_KIND, IFLA_INFO_SLAVE_KIND (4).
  const value = {
    veth: { word: 1 },
    $unknown: [{ type: 4, payload: Uint8Array.of(98, 0) }],
  };
  const encoded = encode(table, { driver: value });
  assertEquals<unknown>(decode(table, encoded), { driver: value });
  const { veth, $unknown } = value;
  assertEquals(encode(table, { driver: { $unknown, veth } }), encoded);
});

Deno.test("variant() keeps a nest without a selector as it was", () => {
  const value = {
    driver: {
      $other: { name: "" },
      $unknown: [{ type: 4, payload: Uint8Array.of(98, 0) }],
    },
  };
  const encoded = encode(table, value);
  assertEquals<unknown>(decode(table, encoded), value);
  assertEquals(encode(table, decode(table, encoded)), encoded);
});

Deno.test("variant() is not confused by names of Object.prototype", () => {
  for (const name of ["constructor", "__proto__", "toString"]) {
    const value = { driver: { $other: { name } } };
    assertEquals<unknown>(decode(table, encode(table, value)), value);
  }
});

Deno.test("variant() refuses a value without a format", () => {
  const codec = table as Codec<unknown>;
  assertThrows(
    () => encode(codec, { driver: { vxlan: {} } }),
    CodecError,
    'driver: no format "vxlan"',
  );
  assertThrows(
    () => encode(codec, { driver: {} }),
    CodecError,
    "driver: a variant needs one key",
  );
});

Deno.test("encode() names the field that does not fit", () => {
  const cases: readonly [Whole["attrs"], string][] = [
    [{ byte: 300 }, "byte: 300 is not a u8"],
    [{ items: [{}, { word: -1 }] }, "items[1].word: -1 is not a be32"],
    [{ repeats: [1, 2, 1.5] }, "repeats[2]: 1.5 is not a u16"],
    [{ driver: { veth: { word: -1 } } }, "driver.veth.word: -1 is not a be32"],
    [
      { peer: { header: {}, attrs: { name: "too long" } } },
      'peer.name: "too long" is longer than 7 bytes',
    ],
  ];
  for (const [value, message] of cases) {
    const error = assertThrows(
      () => encode(whole, { header: {}, attrs: value }),
      CodecError,
    );
    assertEquals(error.message, message);
  }
});

Deno.test("decode() names the attribute that is damaged", () => {
  const bad = { type: 1, payload: Uint8Array.of(1, 2) };
  const encoded = encode(table, {
    driver: {
      $other: { name: "veth", data: encode(inner, { $unknown: [bad] }) },
    },
  });
  assertThrows(
    () => decode(table, encoded),
    CodecError,
    "driver.veth.word: be32 needs 4 bytes, got 2",
  );
});

Deno.test("pathAt() names the attribute at an offset", () => {
  const encoded = encode(whole, {
    header: {},
    attrs: {
      byte: 1,
      items: [{ word: 1 }, { name: "abc", word: 2 }],
      driver: { veth: { word: 7 } },
      peer: { header: { index: 3 }, attrs: { word: 9 } },
    },
  });
  const at = (hex: string) => encoded.toHex().indexOf(hex) / 2;
  assertEquals(pathAt(whole, encoded, 0), "head");
  assertEquals(pathAt(whole, encoded, 8), "byte");
  assertEquals(pathAt(whole, encoded, at("0800010000000001")), "items[0].word");
  assertEquals(pathAt(whole, encoded, at("0800010000000002")), "items[1].word");
  assertEquals(pathAt(whole, encoded, at("00000007")), "driver.veth.word");
  assertEquals(pathAt(whole, encoded, at("00000009")), "peer.word");
  assertEquals(pathAt(whole, encoded, encoded.length), "");
  assertEquals(pathAt(whole, encoded, -4), "");
});

Deno.test("missingAt() names the attribute that a nest lacks", () => {
  const encoded = encode(whole, {
    header: {},
    attrs: { byte: 1, nest: {}, driver: { $other: { name: "" } } },
  });
  const nest = 8 + 8;
  assertEquals(missingAt(whole, encoded, undefined, 3), "name");
  assertEquals(missingAt(whole, encoded, nest, 1), "nest.word");
  assertEquals(missingAt(whole, encoded, nest, 99), "nest.#99");
  assertEquals(missingAt(whole, encoded, nest + 4, 1), "driver.kind");
});

// Arbitrary values of the table.

const word = fc.integer({ min: 0, max: 0xffffffff });
const text = (max: number) =>
  fc.string({ unit: "grapheme-ascii", maxLength: max })
    .filter((s) => !s.includes("\0"));
const blob = fc.uint8Array({ maxLength: 40 });
const plain = { noNullPrototype: true };
const partial = { ...plain, requiredKeys: [] };
const anyInner = fc.record({ word, name: text(7) }, partial);
const unknownOf = (known: number): fc.Arbitrary<readonly UnknownAttr[]> =>
  fc.array(
    fc.record({
      type: fc.integer({ min: known + 1, max: 0x3fff })
        .chain((id) => fc.constantFrom(id, id | 0x8000, id | 0x4000)),
      payload: blob,
    }, plain),
    { minLength: 1, maxLength: 4 },
  );
const anyTable = fc.record({
  byte: fc.integer({ min: 0, max: 0xff }),
  big: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  name: text(15),
  blob,
  present: fc.constant(true as const),
  nest: anyInner,
  items: fc.array(anyInner),
  repeats: fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 1 }),
  driver: fc.oneof(
    anyInner.map((veth) => ({ veth })),
    fc.constant({ empty: {} }),
    fc.record({ name: text(20), data: blob }, plain)
      .filter(({ name }) => name !== "veth" && name !== "empty")
      .map(($other) => ({ $other })),
  ),
  colour: fc.constantFrom("red" as const, "green" as const, 77),
  peer: fc.record({
    header: fc.record({
      family: fc.constant(1),
      pad: fc.constant(0),
      kind: fc.constant(2),
      index: fc.integer({ min: -5, max: 5 }),
    }, plain),
    attrs: anyInner,
  }, plain),
  $unknown: unknownOf(11),
}, partial);

Deno.test("decode() gives back whatever encode() was given", () => {
  fc.assert(
    fc.property(anyTable, (value) => {
      assertEquals<unknown>(decode(table, encode(table, value)), value);
    }),
    { seed: 1, numRuns: 500 },
  );
});

Deno.test("encode() gives back whatever decode() was given, unknown attributes included", () => {
  fc.assert(
    fc.property(anyTable, (value) => {
      const once = encode(table, value);
      assertEquals(encode(table, decode(table, once)), once);
    }),
    { seed: 2, numRuns: 500 },
  );
});

Deno.test("pathAt() covers every byte of whatever encode() makes", () => {
  fc.assert(
    fc.property(anyTable, (value) => {
      const encoded = encode(table, value);
      for (let at = 0; at < encoded.length; at++) {
        assert(pathAt(table, encoded, at) !== "", `nothing at ${at}`);
      }
    }),
    { seed: 3, numRuns: 100 },
  );
});

Deno.test("decode() throws nothing but CodecError on damaged input, and ends", () => {
  let refused = 0;
  fc.assert(
    fc.property(
      anyTable,
      fc.nat(),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
        maxLength: 6,
      }),
      (value, cut, changes) => {
        const encoded = encode(table, value);
        const damaged = encoded.slice(0, cut % (encoded.length + 1));
        for (const [at, byte] of changes) {
          if (damaged.length > 0) damaged[at % damaged.length] = byte;
        }
        try {
          encode(table, decode(table, damaged));
        } catch (error) {
          if (!(error instanceof CodecError)) throw error;
          refused++;
        }
        pathAt(table, damaged, cut % 64);
      },
    ),
    { seed: 4, numRuns: 5000 },
  );
  assert(refused > 500, `only ${refused} of 5000 inputs were refused`);
});

Deno.test("decode() reads nothing outside the bytes it is given", () => {
  fc.assert(
    fc.property(anyTable, fc.nat(), (value, cut) => {
      const encoded = encode(table, value);
      const part = encoded.slice(0, cut % (encoded.length + 1));
      // The same bytes inside a larger buffer, surrounded by what would be seen if it looked.
      const large = new Uint8Array(part.length + 64).fill(0x41);
      large.set(part, 32);
      const window = large.subarray(32, 32 + part.length);
      let alone: unknown;
      try {
        alone = decode(table, part);
      } catch (error) {
        assertThrows(
          () => decode(table, window),
          CodecError,
          (error as Error).message,
        );
        return;
      }
      assertEquals<unknown>(decode(table, window), alone);
    }),
    { seed: 5, numRuns: 1000 },
  );
});

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeBatch } from "../../src/netlink/batch.ts";
import { ByteWriter } from "../../src/netlink/bytes.ts";
import { CodecError, cstring } from "../../src/netlink/codec.ts";
import { attrs } from "../../src/netlink/attrs.ts";
import { bytesOf, flag, u32 } from "../../src/netlink/codec.ts";
import { body, struct } from "../../src/netlink/struct.ts";
import { NLM_F_ACK, NLM_F_DUMP } from "../../src/netlink/message.ts";
import { Template } from "../../src/netlink/template.ts";

const codec = body(
  struct("header", { index: u32 }),
  attrs("X_", {
    name: [1, cstring(16)],
    address: [2, bytesOf(4)],
    flag: [3, flag],
    again: [4, u32],
  }),
);

type Values = readonly [index: number, name: string, address: Uint8Array];

function requests(
  [index, name, address]: Values,
  count: number,
  hasFlag: boolean,
) {
  return {
    requests: Array.from({ length: count }, () => ({
      operation: `touch ${name}`,
      type: 16,
      flags: 0,
      codec,
      value: {
        header: { index },
        attrs: { name, address, again: index, ...hasFlag && { flag: true } },
      },
    })),
  };
}

const values = fc.tuple(
  fc.nat(0xffff_ffff),
  fc.stringMatching(/^[a-z0-9.-]{1,15}$/),
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
);

Deno.test("a template gives the bytes that encoding would give, for any values and shapes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(values, fc.nat(3), fc.boolean()), { maxLength: 60 }),
      fc.constantFrom(NLM_F_ACK, NLM_F_DUMP),
      (uses, lastFlags) => {
        const template = new Template(requests, lastFlags);
        for (const [fields, count, hasFlag] of uses) {
          const out = new ByteWriter();
          encodeBatch(out, requests(fields, count, hasFlag), lastFlags);
          const found = template.with(fields, count, hasFlag);
          assertEquals(found.out.written(), out.written());
          assertEquals(found.starts.length, count);
          for (let i = 0; i < count; i++) {
            assertEquals(
              found.requestAt(i).operation,
              `touch ${fields[1]}`,
            );
          }
        }
      },
    ),
  );
});

const address = new Uint8Array([10, 0, 0, 1]);
const some: Values = [7, "a", address];

/** Of which the next use is put into bytes. */
function compiled(): Template<Values, [number, boolean]> {
  const template = new Template(requests);
  for (let use = 0; use < 5; use++) template.with(some, 1, true);
  return template;
}

Deno.test("a template refuses values that its codecs would refuse, or write otherwise", () => {
  for (
    const [index, name] of [
      [-1, "a"],
      [1.5, "a"],
      [2 ** 32, "a"],
      [7, "\0"],
      [7, "é"],
    ] as const
  ) {
    const wrong: Values = [index, name, address];
    assertThrows(() => compiled().with(wrong, 1, true), CodecError);
  }
});

Deno.test("a template whose function computes with a field is refused, not sent", () => {
  const template = new Template(([index]: readonly [index: number]) =>
    requests([index + 1, "a", address], 1, false)
  );
  assertThrows(
    () => {
      for (let use = 0; use < 5; use++) template.with([use]);
    },
    TypeError,
    "more with a field",
  );
});

Deno.test("a template tells a number from bytes without any, and one list of fields from a longer one", () => {
  const template = new Template((fields: readonly (number | Uint8Array)[]) => ({
    requests: fields.map((field) => ({
      operation: "touch",
      type: 16,
      flags: 0,
      codec,
      value: {
        header: { index: typeof field === "number" ? field : 0 },
        attrs: typeof field === "number" ? { again: field } : { flag: true },
      },
    })),
  }));
  const uses = [[3], [new Uint8Array()], [3, 4], [new Uint8Array(), 3], [5]];
  for (const fields of Array.from({ length: 6 }, () => uses).flat()) {
    const found = template.with(fields);
    assertEquals(found.starts.length, fields.length);
    // A header of 16 bytes, 4 of the body's, 8 or 4 of its attribute.
    const sizes = fields.map((one) => typeof one === "number" ? 28 : 24);
    assertEquals(
      found.out.written().length,
      sizes.reduce<number>((sum, size) => sum + size, 0),
    );
  }
});

Deno.test("a template with more fields than can be told apart is refused, not sent", () => {
  const fields = Array.from({ length: 64 }, (_, i) => i);
  const template = new Template((_: readonly number[]) => ({
    requests: [],
  }));
  assertThrows(
    () => {
      for (let use = 0; use < 5; use++) template.with(fields);
    },
    TypeError,
    "too many",
  );
});

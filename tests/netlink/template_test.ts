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

interface Values {
  readonly index: number;
  readonly name: string;
  readonly address: Uint8Array;
}

function requests(
  { index, name, address }: Values,
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

const values = fc.record({
  index: fc.nat(0xffff_ffff),
  name: fc.stringMatching(/^[a-z0-9.-]{1,15}$/),
  address: fc.uint8Array({ minLength: 4, maxLength: 4 }),
});

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
              `touch ${fields.name}`,
            );
          }
        }
      },
    ),
  );
});

const some = { index: 7, name: "a", address: new Uint8Array([10, 0, 0, 1]) };

/** Of which the next use is put into bytes. */
function compiled(): Template<Values, [number, boolean]> {
  const template = new Template(requests);
  for (let use = 0; use < 5; use++) template.with(some, 1, true);
  return template;
}

Deno.test("a template refuses values that its codecs would refuse, or write otherwise", () => {
  for (
    const wrong of [
      { ...some, index: -1 },
      { ...some, index: 1.5 },
      { ...some, index: 2 ** 32 },
      { ...some, name: "\0" },
      { ...some, name: "é" },
    ]
  ) {
    assertThrows(() => compiled().with(wrong, 1, true), CodecError);
  }
});

Deno.test("a template whose function computes with a field is refused, not sent", () => {
  const template = new Template(({ index }: { readonly index: number }) =>
    requests({ ...some, index: index + 1 }, 1, false)
  );
  assertThrows(
    () => {
      for (let use = 0; use < 5; use++) template.with({ index: use });
    },
    TypeError,
    "more with a field",
  );
});

Deno.test("fields are put by their names, in whatever order they are given", () => {
  const out = new ByteWriter();
  encodeBatch(out, requests(some, 1, true));
  const { index, name, address } = some;
  const found = compiled().with({ address, name, index }, 1, true);
  assertEquals(found.out.written(), out.written());
});

Deno.test("a template with more fields than can be told apart is refused, not sent", () => {
  const fields = Object.fromEntries(
    Array.from({ length: 64 }, (_, i) => [`field${i}`, i]),
  );
  const template = new Template((_: Record<string, number>) => ({
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

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeKey } from "../../src/nftables/datatype.ts";
import { decodeElements, encodeElements } from "../../src/nftables/element.ts";
import type { Element, NftSet } from "../../src/nftables/ruleset.ts";
import { range } from "./sample.ts";

const ranges: NftSet = { name: "r", key: ["ipv4_addr"], interval: true };

/** As the kernel is sent them: `!` marks the first key after a range. */
function sent(elements: readonly Element[]): readonly string[] {
  return encodeElements(ranges, elements).map((e) =>
    `${e.flags === 1 ? "!" : ""}${e.key?.value?.join(".")}`
  );
}

Deno.test("encodeElements() sends the start of a range and the key after it", () => {
  assertEquals(sent([range("ipv4_addr", "10.0.0.0", "10.255.255.255")]), [
    "10.0.0.0",
    "!11.0.0.0",
  ]);
  assertEquals(sent([range("ipv4_addr", "10.0.0.255")]), [
    "10.0.0.255",
    "!10.0.1.0",
  ]);
});

Deno.test("encodeElements() sends no end for a range that reaches the last key", () => {
  const encoded = encodeElements(ranges, [
    range("ipv4_addr", "224.0.0.0", "255.255.255.255", "c"),
  ]);
  assertEquals(encoded.length, 1);
  // The comment, and nft's note that the range is open.
  assertEquals(encoded[0]?.userdata?.toHex(), "00026300" + "010401000000");
});

Deno.test("encodeElements() puts ranges in order and refuses those that overlap", () => {
  assertEquals(
    sent([
      range("ipv4_addr", "10.0.0.8"),
      range("ipv4_addr", "10.0.0.4", "10.0.0.7"),
    ]),
    ["10.0.0.4", "!10.0.0.8", "10.0.0.8", "!10.0.0.9"],
  );
  assertThrows(
    () =>
      sent([
        range("ipv4_addr", "10.0.0.4", "10.0.0.8"),
        range("ipv4_addr", "10.0.0.8"),
      ]),
    RangeError,
    "overlap",
  );
  assertThrows(
    () => sent([range("ipv4_addr", "10.0.0.8", "10.0.0.4")]),
    RangeError,
    "ends before it starts",
  );
});

Deno.test("encodeElements() refuses ranges of numbers in host byte order", () => {
  assertThrows(
    () =>
      encodeElements({ name: "m", key: ["mark"], interval: true }, [
        { key: encodeKey(["mark"], [1]), keyEnd: encodeKey(["mark"], [2]) },
      ]),
    RangeError,
  );
});

Deno.test("encodeElements() sends both ends of a range of a concatenation at once", () => {
  const key = ["inet_proto", "inet_service"] as const;
  const encoded = encodeElements({ name: "p", key, interval: true }, [
    { key: encodeKey(key, ["tcp", 80]), keyEnd: encodeKey(key, ["tcp", 90]) },
    { key: encodeKey(key, ["udp", 53]) },
  ]);
  assertEquals(encoded.map((e) => [e.key?.value, e.keyEnd?.value, e.flags]), [
    [encodeKey(key, ["tcp", 80]), encodeKey(key, ["tcp", 90]), undefined],
    [encodeKey(key, ["udp", 53]), encodeKey(key, ["udp", 53]), undefined],
  ]);
});

Deno.test("decodeElements() undoes encodeElements() for any ranges in any order", () => {
  const port = fc.integer({ min: 0, max: 65535 });
  const bounds = fc.uniqueArray(port, { minLength: 2, maxLength: 20 });
  const set: NftSet = { name: "p", key: ["inet_service"], interval: true };
  const keyOf = (value: number) => encodeKey(["inet_service"], [value]);
  fc.assert(fc.property(bounds, fc.boolean(), (values, reverse) => {
    const sorted = values.toSorted((a, b) => a - b);
    const elements: Element[] = [];
    for (let i = 0; i + 1 < sorted.length; i += 2) {
      elements.push({
        key: keyOf(sorted[i] ?? 0),
        keyEnd: keyOf(sorted[i + 1] ?? 0),
        ...(i % 4 === 0 ? { comment: `range ${i}` } : {}),
      });
    }
    const encoded = encodeElements(set, elements);
    assertEquals(
      decodeElements(set, reverse ? encoded.toReversed() : encoded),
      elements,
    );
  }));
});

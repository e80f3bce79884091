import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";

const cidr = fc.oneof(
  fc.tuple(
    fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }),
    fc.integer({ min: 0, max: 32 }),
    fc.constant(4 as const),
  ),
  fc.tuple(
    fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
    fc.integer({ min: 0, max: 128 }),
    fc.constant(6 as const),
  ),
).map(([number, prefixLength, family]) => {
  const hostBits = BigInt((family === 4 ? 32 : 128) - prefixLength);
  return Cidr.of(
    IpAddress.fromBigInt(number >> hostBits << hostBits, family),
    prefixLength,
  );
});

const REFUSED: Readonly<Record<string, string>> = {
  "": "is not a network",
  "10.0.0.0": "is not a network",
  "10.0.0.0/": "is not a network",
  "10.0.0.0/08": "is not a network",
  "10.0.0.0/-1": "is not a network",
  "10.0.0.0/255.0.0.0": "is not a network",
  "10.0.0.0/8/8": "is not a network",
  "10.0.0.0/8 ": "is not a network",
  "10.0.0/8": "is not an IP address",
  "/8": "is not an IP address",
  "10.0.0.0/33": "must be 0 to 32",
  "fd00::/129": "must be 0 to 128",
  "10.244.1.5/24": 'write "10.244.1.0/24"',
  "128.0.0.0/0": 'write "0.0.0.0/0"',
  "fd00::1/64": 'write "fd00::/64"',
};

for (const [text, message] of Object.entries(REFUSED)) {
  Deno.test(`Cidr.parse() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(() => Cidr.parse(text), RangeError, message);
  });
}

Deno.test("Cidr.of() refuses a prefix length that is no integer of the family", () => {
  for (const prefixLength of [-1, 1.5, NaN, 33]) {
    assertThrows(
      () => Cidr.of(IpAddress.parse("0.0.0.0"), prefixLength),
      RangeError,
    );
  }
});

Deno.test("Cidr.toString() is read back as the same network", () => {
  fc.assert(fc.property(cidr, (network) => {
    assertEquals(Cidr.parse(network.toString()), network);
  }));
});

Deno.test("Cidr.at() gives the first and the last address, and both are contained", () => {
  fc.assert(fc.property(cidr, (network) => {
    const first = network.at(0n);
    const last = network.at(network.size - 1n);
    assertEquals(first, network.network);
    assertEquals(last.toBigInt() - first.toBigInt(), network.size - 1n);
    assertEquals([network.contains(first), network.contains(last)], [
      true,
      true,
    ]);
    assertThrows(() => network.at(network.size), RangeError);
    assertThrows(() => network.at(-1n), RangeError);
  }));
});

Deno.test("Cidr.contains() is false for the neighbours of a network and for the other family", () => {
  const network = Cidr.parse("10.244.1.0/24");
  for (const outside of ["10.244.0.255", "10.244.2.0", "::10.244.1.7"]) {
    assertEquals(network.contains(IpAddress.parse(outside)), false, outside);
  }
  assertEquals(Cidr.parse("::/0").contains(IpAddress.parse("0.0.0.0")), false);
});

Deno.test("Cidr.contains() and overlaps() tell larger, equal, smaller and separate networks apart", () => {
  const network = Cidr.parse("10.244.0.0/16");
  const cases: [string, boolean, boolean][] = [
    ["10.244.0.0/16", true, true],
    ["10.244.255.0/24", true, true],
    ["10.0.0.0/8", false, true],
    ["0.0.0.0/0", false, true],
    ["10.245.0.0/16", false, false],
    ["::/0", false, false],
  ];
  for (const [text, contains, overlaps] of cases) {
    const other = Cidr.parse(text);
    assertEquals(network.contains(other), contains, text);
    assertEquals(network.overlaps(other), overlaps, text);
    assertEquals(other.overlaps(network), overlaps, text);
    assertEquals(network.equals(other), text === "10.244.0.0/16", text);
  }
});

Deno.test("Cidr.host() is the network of one address", () => {
  assertEquals(
    Cidr.host(IpAddress.parse("10.0.0.1")).toString(),
    "10.0.0.1/32",
  );
  assertEquals(Cidr.host(IpAddress.parse("fd00::1")).toString(), "fd00::1/128");
});

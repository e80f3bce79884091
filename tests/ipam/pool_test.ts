import {
  assert,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { AddressPool } from "../../src/ipam/pool.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";

const pool = (text: string) => new AddressPool(Cidr.parse(text));
const seed = fc.oneof(
  fc.uint8Array({ maxLength: 32 }),
  fc.bigInt({ min: 0n, max: (1n << 300n) - 1n }),
);

for (const text of ["10.0.0.0/31", "10.0.0.0/32", "fd00::/127", "fd00::/128"]) {
  Deno.test(`AddressPool refuses ${text}, which has no room for a pod`, () => {
    assertThrows(() => pool(text), RangeError, "too small");
  });
}

const EDGES: Readonly<
  Record<string, { size: bigint; gateway: string; first: string; last: string }>
> = {
  "10.0.0.0/30": {
    size: 1n,
    gateway: "10.0.0.1",
    first: "10.0.0.2",
    last: "10.0.0.2",
  },
  "10.244.1.0/24": {
    size: 253n,
    gateway: "10.244.1.1",
    first: "10.244.1.2",
    last: "10.244.1.254",
  },
  "fd00::/126": {
    size: 2n,
    gateway: "fd00::1",
    first: "fd00::2",
    last: "fd00::3",
  },
  "fd00::/64": {
    size: (1n << 64n) - 2n,
    gateway: "fd00::1",
    first: "fd00::2",
    last: "fd00::ffff:ffff:ffff:ffff",
  },
};

for (const [text, { size, gateway, first, last }] of Object.entries(EDGES)) {
  Deno.test(`AddressPool of ${text} goes from ${first} to ${last}`, () => {
    const { cidr, ...rest } = pool(text);
    assertEquals([rest.size, String(rest.gateway)], [size, gateway]);
    const isAllocatable = (address: IpAddress) =>
      pool(text).isAllocatable(address);
    const firstNumber = IpAddress.parse(first).toBigInt();
    const lastNumber = IpAddress.parse(last).toBigInt();
    assertEquals(lastNumber - firstNumber + 1n, size);
    assert(isAllocatable(IpAddress.parse(first)));
    assert(isAllocatable(IpAddress.parse(last)));
    for (
      const number of [
        firstNumber - 1n,
        firstNumber - 2n,
        firstNumber - 3n,
        lastNumber + 1n,
      ]
    ) {
      assert(
        !isAllocatable(IpAddress.fromBigInt(number, cidr.family)),
        `${number}`,
      );
    }
  });
}

Deno.test("AddressPool.isAllocatable() is false for the other family", () => {
  assert(!pool("10.0.0.0/24").isAllocatable(IpAddress.parse("::10.0.0.7")));
});

Deno.test("AddressPool.candidates() visits each allocatable address exactly once", () => {
  const cidr = fc.oneof(
    fc.integer({ min: 22, max: 30 }).map((length) => `10.0.0.0/${length}`),
    fc.integer({ min: 118, max: 126 }).map((length) => `fd00::/${length}`),
  );
  fc.assert(fc.property(cidr, seed, (text, seed) => {
    const addresses = pool(text);
    const visited = Array.from(addresses.candidates(seed), String);
    assertEquals(BigInt(visited.length), addresses.size);
    assertEquals(new Set(visited).size, visited.length);
    assert(visited.every((a) => addresses.isAllocatable(IpAddress.parse(a))));
  }));
});

Deno.test("AddressPool.candidates() stops after 65536 different addresses when an IPv6 pool is large", () => {
  const visited = new Set(
    Array.from(
      pool("fd00::/64").candidates(new Uint8Array(32).fill(7)),
      String,
    ),
  );
  assertEquals(visited.size, 65_536);
});

Deno.test("AddressPool.candidates() begins all over a pool, and leaves a common address by different ways", () => {
  const addresses = pool("10.0.0.0/16");
  const starts = Array.from({ length: 64 }, (_, i) => {
    const seed = new Uint8Array(32);
    crypto.getRandomValues(seed);
    seed[31] = i;
    const [first, second] = addresses.candidates(seed);
    assert(first !== undefined && second !== undefined);
    return {
      first: String(first),
      stride: second.toBigInt() - first.toBigInt(),
    };
  });
  // 64 of 65533 places: more than 8 meetings would be a wonder.
  assert(new Set(starts.map(({ first }) => first)).size > 56);
  assert(new Set(starts.map(({ stride }) => stride)).size > 56);
});

Deno.test("AddressPool.candidates() depends on the seed alone", () => {
  const first = (seed: bigint) =>
    Array.from(pool("10.0.0.0/24").candidates(seed), String);
  assertEquals(first(12345678901234567890n), first(12345678901234567890n));
  assertNotEquals(first(12345678901234567890n), first(12345678901234567891n));
  assertEquals(
    Array.from(pool("10.0.0.0/24").candidates(Uint8Array.of(1, 2)), String),
    first(0x0102n),
  );
});

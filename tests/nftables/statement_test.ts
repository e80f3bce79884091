import { assertEquals, assertThrows } from "@std/assert";
import {
  icmp,
  ip,
  ip6,
  masked,
  meta,
  register,
} from "../../src/nftables/expression.ts";
import {
  equals,
  inSet,
  rule,
  set,
  verdict,
} from "../../src/nftables/statement.ts";
import { snatTo } from "../../src/nftables/source_nat.ts";

const drop = verdict("drop");

Deno.test("rule() checks the protocol once, before the first field that needs it", () => {
  const { expressions } = rule([
    equals(meta.iifname, "eth0"),
    equals(ip.saddr, "10.0.0.1"),
    equals(ip.daddr, "10.0.0.2"),
    drop,
  ]);
  assertEquals(expressions.map((e) => Object.keys(e)[0]), [
    "meta",
    "cmp",
    "meta",
    "cmp",
    "payload",
    "cmp",
    "payload",
    "cmp",
    "immediate",
  ]);
  assertEquals(expressions[2], { meta: { key: "nfproto", dreg: 1 } });
});

Deno.test("rule() refuses fields of both IPv4 and IPv6", () => {
  assertThrows(
    () => rule([equals(ip.saddr, "10.0.0.1"), equals(ip6.saddr, "fd00::1")]),
    RangeError,
    "never reached",
  );
});

Deno.test("equals() refuses values that are not of the selector's type", () => {
  assertThrows(() => equals(ip.saddr, "fd00::1"), RangeError);
  assertThrows(() => equals(ip.saddr, "fd00::/8"), RangeError);
  assertThrows(() => equals(ip.saddr, "10.0.0.1/8"), RangeError, "host bits");
  assertThrows(() => equals(ip.saddr, "0.0.0.0/0"), RangeError, "always");
  assertThrows(() => equals(meta.l4proto, "http"), RangeError);
  assertThrows(() => equals(masked(icmp.type, 256), 0), RangeError);
  assertThrows(() => set(ip.saddr, "10.0.0.0/8"), RangeError);
  assertThrows(() => snatTo("10.0.0.0/8"), RangeError);
});

Deno.test("equals() takes an interface name with a wildcard, and refuses one that is too long", () => {
  assertEquals(equals(meta.iifname, "pn-*").expressions[1], {
    cmp: {
      sreg: 1,
      op: "eq",
      data: { value: new TextEncoder().encode("pn-") },
    },
  });
  assertThrows(() => equals(meta.iifname, "sixteen-bytes-xx"), RangeError);
  assertThrows(() => equals(meta.iifname, "sixteen-bytes-xx*"), RangeError);
  assertThrows(() => equals(meta.iifname, "*"), RangeError);
});

Deno.test("register() numbers words as the kernel reports them", () => {
  assertEquals([0, 1, 2, 3, 4, 8, 12, 15].map(register), [
    1,
    9,
    10,
    11,
    2,
    3,
    4,
    23,
  ]);
  assertThrows(() => register(16), RangeError);
});

Deno.test("inSet() refuses a key that is longer than the registers", () => {
  const five = Array.from({ length: 5 }, () => ip6.saddr);
  assertThrows(() => inSet(five, "s"), RangeError, "register");
});

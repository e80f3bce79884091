import { assertEquals, assertThrows } from "@std/assert";
import {
  type Datatype,
  encodeKey,
  encodeValue,
  formatKey,
  formatRange,
  keyLength,
  splitKey,
  typeNumber,
  type Value,
} from "../../src/nftables/datatype.ts";

function roundTrip(types: readonly Datatype[], values: readonly Value[]) {
  const key = encodeKey(types, values);
  return { hex: key.toHex(), text: formatKey(types, key) };
}

Deno.test("encodeKey() does not pad a key of one type", () => {
  assertEquals(roundTrip(["inet_service"], [443]), {
    hex: "01bb",
    text: "443",
  });
  assertEquals(roundTrip(["inet_proto"], ["tcp"]), { hex: "06", text: "tcp" });
  assertEquals(roundTrip(["ipv4_addr"], ["10.0.0.1"]), {
    hex: "0a000001",
    text: "10.0.0.1",
  });
});

Deno.test("encodeKey() pads each field of a concatenation to 4 bytes", () => {
  assertEquals(roundTrip(["inet_proto", "inet_service"], ["udp", 53]), {
    hex: "1100000000350000",
    text: "udp . 53",
  });
  assertEquals(
    roundTrip(["ipv6_addr", "inet_proto", "inet_service"], ["fd00::1", 253, 9]),
    {
      hex: "fd000000000000000000000000000001" + "fd000000" + "00090000",
      text: "fd00::1 . 253 . 9",
    },
  );
  assertEquals(keyLength(["ifname", "inet_proto"]), 20);
});

Deno.test("splitKey() gives the fields without padding", () => {
  const types = ["inet_proto", "inet_service"] as const;
  const fields = splitKey(types, encodeKey(types, ["tcp", 80]));
  assertEquals(fields.map((field) => field.toHex()), ["06", "0050"]);
});

Deno.test("encodeKey() refuses a number of values that is not that of the types", () => {
  assertThrows(
    () => encodeKey(["ipv4_addr", "ipv4_addr"], ["10.0.0.1"]),
    RangeError,
  );
  assertThrows(
    () => encodeKey(["ipv4_addr"], ["10.0.0.1", "10.0.0.2"]),
    RangeError,
  );
});

Deno.test("encodeValue() refuses what is not of the type", () => {
  const wrong: readonly (readonly [Datatype, Value])[] = [
    ["inet_service", 65536],
    ["inet_service", -1],
    ["inet_service", 1.5],
    ["inet_service", "80"],
    ["inet_proto", 256],
    ["inet_proto", "TCP"],
    ["inet_proto", "constructor"],
    ["ipv4_addr", "fd00::1"],
    ["ipv4_addr", "10.0.0.01"],
    ["ipv4_addr", 1],
    ["ipv6_addr", "10.0.0.1"],
    ["ifname", ""],
    ["ifname", "sixteen-bytes-xx"],
    ["ifname", 1],
    ["mark", 2 ** 32],
    ["ct_status", "dnatted"],
  ];
  for (const [type, value] of wrong) {
    assertThrows(() => encodeValue(type, value), RangeError, undefined, type);
  }
});

Deno.test("typeNumber() packs 6 bits a field", () => {
  // What nft sends for "inet_proto . inet_service": 12 << 6 | 13.
  assertEquals(typeNumber(["inet_proto", "inet_service"]), 0x30d);
});

Deno.test("formatRange() writes a network only when the range is one", () => {
  const range = (type: Datatype, first: Value, last: Value) =>
    formatRange(type, encodeValue(type, first), encodeValue(type, last));
  assertEquals(range("ipv4_addr", "10.0.0.0", "10.255.255.255"), "10.0.0.0/8");
  assertEquals(range("ipv4_addr", "10.0.0.0", "10.0.0.1"), "10.0.0.0/31");
  assertEquals(range("ipv4_addr", "10.0.0.1", "10.0.0.1"), "10.0.0.1");
  assertEquals(range("ipv4_addr", "10.0.0.1", "10.0.0.2"), "10.0.0.1-10.0.0.2");
  assertEquals(range("ipv4_addr", "10.0.0.1", "10.0.0.3"), "10.0.0.1-10.0.0.3");
  assertEquals(range("ipv4_addr", "0.0.0.0", "255.255.255.255"), "0.0.0.0/0");
  assertEquals(range("ipv6_addr", "fd00::", "fd00::ffff"), "fd00::/112");
  assertEquals(range("inet_service", 80, 95), "80-95");
});

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { MacAddress } from "../../src/net/mac.ts";

for (
  const text of [
    "",
    "02:00:5e:10:00",
    "02:00:5e:10:00:01:02",
    "2:0:5e:10:0:1",
    "02-00-5e-10-00-01",
    "02005e100001",
    "02:00:5e:10:00:0g",
    " 02:00:5e:10:00:01",
    "02:00:5e:10:00:01\n",
  ]
) {
  Deno.test(`MacAddress.parse() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(
      () => MacAddress.parse(text),
      RangeError,
      "is not a MAC address",
    );
  });
}

Deno.test("MacAddress.toString() is read back as the same address, in any case", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      const mac = MacAddress.fromBytes(bytes);
      assertEquals(MacAddress.parse(mac.toString()).bytes, bytes);
      assert(MacAddress.parse(mac.toString().toUpperCase()).equals(mac));
    }),
  );
});

Deno.test("MacAddress.fromBytes() copies its bytes and refuses other lengths than 6", () => {
  const bytes = Uint8Array.of(2, 0, 0, 0, 0, 1);
  const mac = MacAddress.fromBytes(bytes);
  bytes[0] = 4;
  assertEquals(mac.toString(), "02:00:00:00:00:01");
  for (const length of [0, 5, 7]) {
    assertThrows(
      () => MacAddress.fromBytes(new Uint8Array(length)),
      RangeError,
    );
  }
});

Deno.test("MacAddress knows multicast, broadcast and zero addresses", () => {
  const kinds = (text: string) => {
    const { isMulticast, isZero } = MacAddress.parse(text);
    return { isMulticast, isZero };
  };
  assertEquals(kinds("02:00:00:00:00:00"), {
    isMulticast: false,
    isZero: false,
  });
  assertEquals(kinds("01:00:5e:00:00:01"), {
    isMulticast: true,
    isZero: false,
  });
  assertEquals(kinds("ff:ff:ff:ff:ff:ff"), {
    isMulticast: true,
    isZero: false,
  });
  assertEquals(kinds("00:00:00:00:00:00"), {
    isMulticast: false,
    isZero: true,
  });
  assert(
    !MacAddress.parse("02:00:00:00:00:00").equals(
      MacAddress.parse("02:00:00:00:00:01"),
    ),
  );
});

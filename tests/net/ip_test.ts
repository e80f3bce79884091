import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { parseIp } from "ip-bigint";
import { IpAddress } from "../../src/net/ip.ts";

/** Addresses with runs of zeros, where the canonical text is hard. */
const ipv6Bytes = fc.array(
  fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 0xffff })),
  { minLength: 8, maxLength: 8 },
).map((groups) => Uint8Array.from(groups.flatMap((g) => [g >> 8, g & 0xff])));
const ipv4Bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });

const ACCEPTED: Readonly<Record<string, string>> = {
  "0.0.0.0": "0.0.0.0",
  "255.255.255.255": "255.255.255.255",
  "::": "::",
  "2001:DB8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
  "1:0:0:2:0:0:0:3": "1:0:0:2::3",
  "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
  "1:0:3:4:5:6:7:8": "1:0:3:4:5:6:7:8",
  "0001::000f": "1::f",
  "::ffff:1.2.3.4": "::ffff:1.2.3.4",
  "::FFFF:102:304": "::ffff:1.2.3.4",
  "64:ff9b::192.0.2.33": "64:ff9b::c000:221",
};

for (const [text, canonical] of Object.entries(ACCEPTED)) {
  Deno.test(`IpAddress.parse() reads ${text} as ${canonical}`, () => {
    assertEquals(IpAddress.parse(text).toString(), canonical);
  });
}

const REFUSED = [
  "",
  " ",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.256",
  "01.2.3.4",
  "1.2.3.4 ",
  " 1.2.3.4",
  "1.2.3.4\n",
  "0x1.2.3.4",
  "1.2.3.4/24",
  "1.2.3.+4",
  "16909060",
  "localhost",
  ":",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7:8::",
  "12345::",
  "g::",
  "::1%lo",
  "fe80::1%1",
  "[::1]",
  "::1/128",
  "::1.2.3",
  "::1.2.3.256",
  "::1.2.3.04",
  "１.2.3.4",
];

for (const text of REFUSED) {
  Deno.test(`IpAddress.parse() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(
      () => IpAddress.parse(text),
      RangeError,
      "is not an IP address",
    );
  });
}

const AF_INET = 2;
const AF_INET6 = 10;

/** Texts that are addresses, nearly addresses, and neither. */
const texts = fc.oneof(
  fc.array(
    fc.constantFrom(
      ...["0", "1", "00", "f", "1.2.3.4", "255", "256", "01", "g", "12345"],
      ...[":", ":", ":", ":", "::", ".", ".", ".", "%", "/", " ", "ffff"],
    ),
    { maxLength: 20 },
  ).map((pieces) => pieces.join("")),
  ipv6Bytes.map((bytes) => IpAddress.fromBytes(bytes).toString()),
  fc.ipV4(),
  fc.ipV6(),
);

Deno.test("IpAddress.parse() reads what inet_pton(3) reads, and refuses what it refuses", () => {
  const library = Deno.dlopen("libc.so.6", {
    // int inet_pton(int family, const char *text, void *address);
    inet_pton: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  });
  using _closed = { [Symbol.dispose]: () => library.close() };
  const read = (text: string) => {
    const bytes = new Uint8Array(text.includes(":") ? 16 : 4);
    const isAddress = library.symbols.inet_pton(
      bytes.length === 16 ? AF_INET6 : AF_INET,
      new TextEncoder().encode(`${text}\0`),
      bytes,
    ) === 1;
    return isAddress ? bytes : undefined;
  };
  fc.assert(
    fc.property(texts, (text) => {
      const expected = read(text);
      if (expected === undefined) {
        assertThrows(() => IpAddress.parse(text), RangeError);
      } else assertEquals(IpAddress.parse(text).bytes, expected);
    }),
    { numRuns: 5000 },
  );
});

Deno.test("IpAddress.toString() is read back as the same address", () => {
  fc.assert(fc.property(fc.oneof(ipv4Bytes, ipv6Bytes), (bytes) => {
    const address = IpAddress.fromBytes(bytes);
    assertEquals(IpAddress.parse(address.toString()).bytes, bytes);
    assert(IpAddress.parse(address.toString()).equals(address));
  }));
});

Deno.test("IpAddress.toString() writes IPv6 as URL does, but for IPv4-mapped addresses", () => {
  fc.assert(fc.property(ipv6Bytes, (bytes) => {
    const address = IpAddress.fromBytes(bytes);
    if (address.isIpv4Mapped) return;
    const groups = Array.from(
      { length: 8 },
      (_, i) => bytes.subarray(2 * i, 2 * i + 2).toHex(),
    );
    const { hostname } = new URL(`http://[${groups.join(":")}]/`);
    assertEquals(`[${address}]`, hostname);
  }));
});

Deno.test("IpAddress.fromBigInt() undoes toBigInt()", () => {
  fc.assert(fc.property(fc.oneof(ipv4Bytes, ipv6Bytes), (bytes) => {
    const address = IpAddress.fromBytes(bytes);
    assertEquals(
      IpAddress.fromBigInt(address.toBigInt(), address.family),
      address,
    );
  }));
});

Deno.test("IpAddress.fromBigInt() refuses numbers outside the family", () => {
  for (
    const [value, family] of [[-1n, 4], [1n << 32n, 4], [-1n, 6], [
      1n << 128n,
      6,
    ]] as const
  ) {
    assertThrows(() => IpAddress.fromBigInt(value, family), RangeError);
  }
});

Deno.test("IpAddress.fromBytes() copies its bytes and refuses other lengths than 4 and 16", () => {
  const bytes = Uint8Array.of(10, 0, 0, 1);
  const address = IpAddress.fromBytes(bytes);
  bytes[0] = 11;
  assertEquals(address.toString(), "10.0.0.1");
  for (const length of [0, 3, 5, 15, 17]) {
    assertThrows(() => IpAddress.fromBytes(new Uint8Array(length)), RangeError);
  }
});

Deno.test("IpAddress.equals() tells 0.0.0.1 from ::1", () => {
  assert(!IpAddress.parse("0.0.0.1").equals(IpAddress.parse("::1")));
});

const KINDS = [
  "isLoopback",
  "isUnspecified",
  "isMulticast",
  "isLinkLocal",
  "isBroadcast",
  "isIpv4Mapped",
] as const;
const OF_KIND: Readonly<Record<string, readonly (typeof KINDS[number])[]>> = {
  "127.0.0.1": ["isLoopback"],
  "127.255.255.255": ["isLoopback"],
  "126.255.255.255": [],
  "128.0.0.0": [],
  "::1": ["isLoopback"],
  "::2": [],
  "0.0.0.0": ["isUnspecified"],
  "0.0.0.1": [],
  "::": ["isUnspecified"],
  "223.255.255.255": [],
  "224.0.0.0": ["isMulticast"],
  "239.255.255.255": ["isMulticast"],
  "240.0.0.0": [],
  "ff00::": ["isMulticast"],
  "feff::": [],
  "169.254.0.0": ["isLinkLocal"],
  "169.253.255.255": [],
  "169.255.0.0": [],
  "fe80::": ["isLinkLocal"],
  "febf:ffff::": ["isLinkLocal"],
  "fec0::": [],
  "fe7f::": [],
  "255.255.255.255": ["isBroadcast"],
  "::ffff:127.0.0.1": ["isIpv4Mapped"],
  "::fffe:127.0.0.1": [],
  "1::ffff:127.0.0.1": [],
  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": ["isMulticast"],
};

for (const [text, kinds] of Object.entries(OF_KIND)) {
  Deno.test(`IpAddress knows that ${text} is ${kinds.join(", ") || "of no special kind"}`, () => {
    const address = IpAddress.parse(text);
    assertEquals(KINDS.filter((kind) => address[kind]), [...kinds]);
  });
}

/** An address with a mistake in it, or another address. */
const mistaken = (addresses: fc.Arbitrary<string>) =>
  fc.tuple(
    addresses,
    fc.nat(),
    fc.constantFrom(":", ".", "0", "1", "", "g", "%", " ", "-", "\uff11"),
  ).map(([text, at, other]) =>
    text.slice(0, at % text.length) + other + text.slice(at % text.length + 1)
  );

/** What is nearly an address: its parts in any order, addresses with a mistake in them, and other texts. */
const nearly = fc.oneof(
  fc.array(
    fc.constantFrom(
      ...["::", ":", ".", "0", "1", "00", "01", "f", "G", "ffff", "10000"],
      ...["255", "256", "1.2.3.4", "01.2.3.4", "%", "%lo", "/64", "[", "]"],
      ...["@", "#", "?", "\\", " ", "\t", "\n", "\0", "0x1", "-1", "\uff11"],
    ),
    { maxLength: 17 },
  ).map((parts) => parts.join("")),
  fc.array(fc.constantFrom("1", "0", "abcd", "", "1.2.3.4"), {
    minLength: 7,
    maxLength: 9,
  }).map((groups) => groups.join(":")),
  fc.array(fc.constantFrom("0", "12", "255", "256", "01", "9".repeat(20), ""), {
    minLength: 3,
    maxLength: 5,
  }).map((parts) => parts.join(".")),
  mistaken(fc.ipV6()),
  mistaken(fc.ipV4()),
  fc.string(),
);

Deno.test("IpAddress.parse() takes what a second parser takes, and reads the same in it", () => {
  fc.assert(
    fc.property(nearly, (text) => {
      let mine: bigint | undefined;
      let its: bigint | undefined;
      try {
        mine = IpAddress.parse(text).toBigInt();
      } catch (error) {
        assert(error instanceof RangeError);
      }
      try {
        const { number, scopeid } = parseIp(text);
        if (scopeid === undefined) its = number;
      } catch {
        // No address.
      }
      assertEquals(mine, its, text);
    }),
    { numRuns: 20_000 },
  );
});

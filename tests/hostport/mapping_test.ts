import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  comparePortMappings,
  expandPortMapping,
  formatPublish,
  hostIPsConflict,
  parsePublish,
  PORT_PROTOCOLS,
  type PortMapping,
  toHostPort,
  toHostPorts,
} from "../../src/hostport/mapping.ts";
import { IpAddress } from "../../src/net/ip.ts";

const PUBLISH: Readonly<Record<string, PortMapping>> = {
  "8080:80": { hostPort: 8080, containerPort: 80 },
  "8080:80/udp": { hostPort: 8080, containerPort: 80, protocol: "udp" },
  "127.0.0.1:53:5353/sctp": {
    hostIP: "127.0.0.1",
    hostPort: 53,
    containerPort: 5353,
    protocol: "sctp",
  },
  "[::1]:8080:80": { hostIP: "::1", hostPort: 8080, containerPort: 80 },
  "[0:0::]:8080:80": { hostIP: "::", hostPort: 8080, containerPort: 80 },
  "0.0.0.0:8000-8010:80-90": {
    hostIP: "0.0.0.0",
    hostPort: 8000,
    hostPortEnd: 8010,
    containerPort: 80,
    containerPortEnd: 90,
  },
  "8000-8010:80": { hostPort: 8000, hostPortEnd: 8010, containerPort: 80 },
  // In range or not is the spec's business.
  "0:65536": { hostPort: 0, containerPort: 65536 },
  "10-1:5": { hostPort: 10, hostPortEnd: 1, containerPort: 5 },
};

for (const [text, mapping] of Object.entries(PUBLISH)) {
  Deno.test(`parsePublish() reads ${text}`, () =>
    assertEquals(parsePublish(text), mapping));
}

const REFUSED: Readonly<Record<string, string>> = {
  "": "write [HOSTIP:]HOSTPORT",
  "80": "write [HOSTIP:]HOSTPORT",
  "80:": "write [HOSTIP:]HOSTPORT",
  ":80": "write [HOSTIP:]HOSTPORT",
  "-1:80": "write [HOSTIP:]HOSTPORT",
  "080:80": "write [HOSTIP:]HOSTPORT",
  "80.5:80": "write [HOSTIP:]HOSTPORT",
  "8080:80/": "write [HOSTIP:]HOSTPORT",
  "8080:80/TCP": "write [HOSTIP:]HOSTPORT",
  "8080:80/icmp": "write /tcp, /udp or /sctp",
  "8000-:80": "write [HOSTIP:]HOSTPORT",
  "::1:8080:80": "write [HOSTIP:]HOSTPORT",
  "[::1:8080:80": "write [HOSTIP:]HOSTPORT",
  "[127.0.0.1]:8080:80": "without brackets",
  "[]:8080:80": "is not an IP address",
  ":8080:80": "is not an IP address",
  "localhost:8080:80": "is not an IP address",
  "[fe80::1%eth0]:8080:80": "is not an IP address",
  " 8080:80": "write [HOSTIP:]HOSTPORT",
};

for (const [text, message] of Object.entries(REFUSED)) {
  Deno.test(`parsePublish() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(() => parsePublish(text), RangeError, message);
  });
}

const port = fc.integer({ min: 1, max: 60_000 });
const hostIP = fc.oneof(fc.ipV4(), fc.ipV6())
  .map((text) => IpAddress.parse(text).toString());
const mapping: fc.Arbitrary<PortMapping> = fc.record({
  protocol: fc.constantFrom(...PORT_PROTOCOLS),
  hostPort: port,
  containerPort: port,
  length: fc.option(fc.integer({ min: 2, max: 100 }), { nil: undefined }),
  hostIP: fc.option(hostIP, { nil: undefined }),
}).map(({ length, hostIP, ...rest }) => ({
  ...rest,
  ...length !== undefined && {
    hostPortEnd: rest.hostPort + length - 1,
    containerPortEnd: rest.containerPort + length - 1,
  },
  ...hostIP !== undefined && { hostIP },
}));

Deno.test("parsePublish() reads back what formatPublish() writes", () => {
  fc.assert(fc.property(mapping, (mapping) => {
    assertEquals(parsePublish(formatPublish(mapping)), mapping);
  }));
});

Deno.test("formatPublish() names the protocol when it is the default, and the end that follows from the other range", () => {
  assertEquals(
    formatPublish({ hostPort: 1, hostPortEnd: 3, containerPort: 7 }),
    "1-3:7-9/tcp",
  );
});

Deno.test("expandPortMapping() gives one mapping a port, both ranges in step", () => {
  assertEquals(
    expandPortMapping({
      hostPort: 8000,
      hostPortEnd: 8002,
      containerPort: 80,
      hostIP: "0:0::1",
    }),
    [0, 1, 2].map((i) => ({
      protocol: "tcp",
      hostPort: 8000 + i,
      containerPort: 80 + i,
      hostIP: "::1",
    })),
  );
});

Deno.test("toHostPort() opens a mapping for the families that its host IP means (HP23)", () => {
  const families = (hostIP: string | undefined, of: readonly (4 | 6)[]) =>
    toHostPort(
      {
        protocol: "tcp",
        hostPort: 1,
        containerPort: 2,
        ...hostIP !== undefined && { hostIP },
      },
      of,
    ).families;
  assertEquals(families(undefined, [4, 6]), [4, 6]);
  assertEquals(families(undefined, [6]), [6]);
  assertEquals(families("0.0.0.0", [4, 6]), [4]);
  assertEquals(families("::", [4, 6]), [6]);
  assertEquals(families("192.0.2.1", [4, 6]), [4]);
  assertEquals(families("::1", [4, 6]), [6]);
});

Deno.test("toHostPorts() opens mappings for the families of a sandbox's addresses, IPv4 first (HP23)", () => {
  const families = (...addresses: readonly string[]) =>
    toHostPorts(
      [{ protocol: "tcp", hostPort: 1, containerPort: 2 }],
      addresses.map((text) => IpAddress.parse(text)),
    ).map(({ families }) => families);
  assertEquals(families("10.0.0.1", "fd00::1"), [[4, 6]]);
  assertEquals(families("fd00::1", "10.0.0.1"), [[4, 6]]);
  assertEquals(families("10.0.0.1"), [[4]]);
  assertEquals(families("fd00::1"), [[6]]);
  assertEquals(families(), [[]]);
});

const ANY = undefined;
const CONFLICTS: readonly [string | undefined, string | undefined, boolean][] =
  [
    [ANY, ANY, true],
    [ANY, "0.0.0.0", true],
    [ANY, "::", true],
    [ANY, "192.0.2.1", true],
    [ANY, "::1", true],
    ["0.0.0.0", "0.0.0.0", true],
    ["0.0.0.0", "192.0.2.1", true],
    ["0.0.0.0", "127.0.0.1", true],
    ["0.0.0.0", "::", false],
    ["0.0.0.0", "fd00::1", false],
    ["::", "fd00::1", true],
    ["::", "127.0.0.1", false],
    ["192.0.2.1", "192.0.2.1", true],
    ["192.0.2.1", "192.0.2.2", false],
    ["127.0.0.1", "192.0.2.1", false],
    ["127.0.0.1", "::1", false],
  ];

for (const [a, b, expected] of CONFLICTS) {
  Deno.test(`hostIPsConflict() is ${expected} for ${a} and ${b} in both orders (HP17, HP18, HP19)`, () => {
    const [first, second] = [a, b].map((text) =>
      text === undefined ? undefined : IpAddress.parse(text)
    );
    assertEquals(hostIPsConflict(first, second), expected);
    assertEquals(hostIPsConflict(second, first), expected);
  });
}

Deno.test("comparePortMappings() orders by protocol, host port, host IP and container port", () => {
  const sorted = [
    "1:1/tcp",
    "0.0.0.0:2:1/tcp",
    "127.0.0.1:2:1/tcp",
    "127.0.0.1:2:2/tcp",
    "10:1/tcp",
    "1:1/udp",
    "1:1/sctp",
  ]
    .flatMap((text) => expandPortMapping(parsePublish(text)));
  fc.assert(
    fc.property(
      fc.shuffledSubarray(sorted, { minLength: sorted.length }),
      (shuffled) => {
        assertEquals(shuffled.toSorted(comparePortMappings), sorted);
      },
    ),
  );
});

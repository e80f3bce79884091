import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Encoder } from "cbor-x/encode";
import fc from "fast-check";
import { specDifferences } from "../../src/spec/differences.ts";
import {
  parseContainerSpec,
  parsePortMappings,
  type SpecContext,
} from "../../src/spec/parse.ts";
import type { SandboxSpec } from "../../src/spec/sandbox_spec.ts";
import { IPV4_ONLY, parse, port, ports, problemsOf } from "./cases.ts";

Deno.test("parseSandboxSpec() refuses what is no object", () => {
  for (
    const input of [undefined, null, "web", 5, [], [{ name: "a" }], () => {}]
  ) {
    assertEquals(
      problemsOf(() => parse(input)).map(({ path }) => path),
      [""],
      String(input),
    );
  }
});

Deno.test("parseSandboxSpec() reports every problem at once, each with what was received", () => {
  const problems = problemsOf(() =>
    parse({
      name: "a/b",
      ports: [
        { hostPort: "80", containerPort: 80.5 },
        { hostPort: 8080, containerPort: 80, hostIP: "0.0.0.0" },
        {
          hostPort: 8080,
          containerPort: 81,
          hostIP: "192.0.2.1",
          protocl: "tcp",
        },
        { hostPort: 8080, containerPort: 82 },
      ],
      containers: [{ name: "a", ports: [80] }, { name: "b", ports: [80] }, {
        name: "",
      }],
      mtu: 0,
      addresses: ["10.0.0.1", "bad"],
      sysctls: { "vm.swappiness": "1", "net.core.somaxconn": 5 },
      dns: { nameservers: ["1", "2", "3", "4"] },
      colour: "red",
    })
  );
  assertEquals(
    problems.map(({ path, received }) => [path, received]).sort(),
    [
      ["name", "a/b"],
      ["ports[0].hostPort", "80"],
      ["ports[0].containerPort", 80.5],
      ["ports[2].protocl", "tcp"],
      ["ports[3].hostPort", 8080],
      ["containers[1].ports[0]", 80],
      ["containers[2].name", ""],
      ["mtu", 0],
      ["addresses[0]", "10.0.0.1"],
      ["addresses[1]", "bad"],
      ['sysctls["vm.swappiness"]', "1"],
      ['sysctls["net.core.somaxconn"]', 5],
      ['sysctls["net.core.somaxconn"]', 5],
      ["dns.nameservers", ["1", "2", "3", "4"]],
      ["dns.nameservers[0]", "1"],
      ["dns.nameservers[1]", "2"],
      ["dns.nameservers[2]", "3"],
      ["dns.nameservers[3]", "4"],
      ["colour", "red"],
    ].sort(),
  );
});

Deno.test("parseSandboxSpec() accepts what only looks wrong", () => {
  const accepted: [Record<string, unknown>, SpecContext?][] = [
    [{ mtu: undefined, ports: undefined, dns: undefined }],
    [{ mtu: 68 }, IPV4_ONLY],
    [{ mtu: 1280 }],
    [{ mtu: 65535 }],
    [{ name: "x".repeat(253), id: "x".repeat(127) }],
    [{ interfaceName: "eth0.100@if" }],
    [{ labels: { "app.kubernetes.io/name": "wéb → 1", empty: "" } }],
    [{ addresses: ["fd00:10:244:1::ffff", "10.244.1.254"] }],
    [{
      dns: {
        searches: ["."],
        nameservers: [],
        hostAliases: [{ ip: "::1", hostnames: ["_a.b"] }],
      },
    }],
    [{ unsafeSysctls: ["net.core.somaxconn"] }],
    [{
      hostNetwork: true,
      sysctls: {},
      addresses: [],
      ...port({ containerPort: 8080, hostIP: "::1" }),
    }, IPV4_ONLY],
    // HP12 and HP19: other address, other protocol, other family, adjacent range.
    [ports({ hostIP: "127.0.0.1" }, { hostIP: "192.0.2.1" })],
    [ports({ hostIP: "192.0.2.1" }, {
      hostIP: "192.0.2.1",
      protocol: "udp",
    })],
    [ports({ hostIP: "0.0.0.0" }, { hostIP: "::" })],
    [ports({ hostPort: 8000, hostPortEnd: 8079 }, {})],
    [{
      containers: [{ name: "a", ports: [53, { port: 53, protocol: "udp" }] }],
    }],
  ];
  for (const [fields, node] of accepted) {
    assertEquals(
      problemsOf(() => parse({ name: "web-0", ...fields }, node)),
      [],
      JSON.stringify(fields),
    );
  }
});

Deno.test("parseSandboxSpec() gives one form to specs that mean the same", () => {
  const plain = parse({
    name: "my_web",
    ports: [
      { hostPort: 53, containerPort: 53, protocol: "udp" },
      { hostPort: 8001, containerPort: 81, hostIP: "::1" },
      { hostPort: 8000, containerPort: 80, hostIP: "::1" },
    ],
    containers: [{ name: "b", ports: [443, 80] }, { name: "a" }],
    labels: { b: "2", a: "1" },
    addresses: ["fd00:10:244:1::7", "10.244.1.7"],
    mac: "02:00:5E:10:00:0A",
    sysctls: { "net.ipv4.tcp_syncookies": "1", "net.core.somaxconn": "9" },
    unsafeSysctls: ["net.core.somaxconn", "net.ipv4.ip_forward"],
  });
  const elaborate = parse({
    name: "my_web",
    namespace: "default",
    hostNetwork: false,
    interfaceName: "eth0",
    attachment: { type: "routed" },
    defaultRoute: true,
    routes: [],
    interfaces: [],
    ports: [
      {
        hostPort: 8000,
        hostPortEnd: 8001,
        containerPort: 80,
        containerPortEnd: 81,
        hostIP: "0::1",
        protocol: "tcp",
      },
      { hostPort: 53, containerPort: 53, protocol: "udp" },
    ],
    containers: [{ name: "a", ports: [] }, {
      name: "b",
      ports: [{ port: 80 }, { port: 443, protocol: "tcp" }],
    }],
    labels: { a: "1", b: "2" },
    addresses: ["10.244.1.7", "FD00:10:244:1:0::7"],
    mac: "02:00:5e:10:00:0a",
    sysctls: { "net.core.somaxconn": "9", "net.ipv4.tcp_syncookies": "1" },
    unsafeSysctls: ["net.core.somaxconn"],
    dns: { hostname: "my-web", hostAliases: [] },
  });
  assertEquals(elaborate, plain);
  assertEquals(JSON.stringify(elaborate.labels), JSON.stringify(plain.labels));
  assertEquals(specDifferences(plain, elaborate), []);
  assertEquals(plain.ports.map(({ hostPort }) => hostPort), [8000, 8001, 53]);
});

Deno.test("parseSandboxSpec() keeps order where it has a meaning", () => {
  const dns = {
    nameservers: ["9.9.9.9", "1.1.1.1"],
    searches: ["b", "a"],
    options: ["rotate", "edns0"],
  };
  const { nameservers, searches, options } = parse({ name: "a", dns }).dns;
  assertEquals({ nameservers, searches, options }, dns);
});

Deno.test("parseSandboxSpec() makes a host name of any name", () => {
  const hostname = (name: string) => parse({ name }).dns.hostname;
  assertEquals(hostname("web_0"), "web-0");
  assertEquals(hostname(`${"a".repeat(62)}.b`), "a".repeat(62));
  assertEquals(hostname("web__"), "web");
  assertEquals(hostname("a.-_b..c_.d"), "a.b.c.d");
});

const letter = fc.constantFrom(..."abcXYZ019");
const name = fc.tuple(
  letter,
  fc.string({ unit: fc.constantFrom(..."aZ9_.-"), maxLength: 80 }),
).map((parts) => parts.join(""));
const someSpec: fc.Arbitrary<SandboxSpec> = fc.record({
  name,
  namespace: name,
  id: name,
  uid: name,
  labels: fc.dictionary(name, fc.string({ unit: fc.constantFrom(..."a é=/") })),
  ports: fc.uniqueArray(fc.integer({ min: 1, max: 600 }), { maxLength: 5 }).map(
    (slots) =>
      slots.map((slot) => ({
        hostPort: slot * 100,
        hostPortEnd: slot * 100 + slot % 50,
        containerPort: slot,
        ...slot % 3 === 0 && { hostIP: "0::1" },
        ...slot % 2 === 0 && { protocol: "udp" as const },
      })),
  ),
  containers: fc.uniqueArray(fc.integer({ min: 1, max: 65535 }), {
    maxLength: 4,
  }).map((ports) =>
    ports.map((port) => ({
      name: `c${port}`,
      ports: [port, { port, protocol: "sctp" as const }],
    }))
  ),
  mtu: fc.integer({ min: 1280, max: 65535 }),
  sysctls: fc.constantFrom({}, {
    "net.ipv4.tcp_rmem": "1 2 3",
    "net.core.somaxconn": "7",
  }),
  unsafeSysctls: fc.constant(["net.core.somaxconn"]),
  addresses: fc.subarray(["fd00:10:244:1:0::7", "10.244.1.7"]),
  dns: fc.record({
    searches: fc.constant(["b.c", "a"]),
    options: fc.constant(["ndots:5"]),
  }, { requiredKeys: [] }),
}, { requiredKeys: ["name", "unsafeSysctls"] });

Deno.test("parseSandboxSpec() finds its own output normal, also after CBOR", () => {
  const cbor = new Encoder({ useRecords: false });
  fc.assert(fc.property(someSpec, (spec) => {
    const normalised = parse(spec);
    assertEquals(parse(normalised), normalised);
    const stored: unknown = cbor.decode(cbor.encode(normalised));
    assertEquals(stored, normalised);
    assertEquals(specDifferences(parse(stored), normalised), []);
  }));
});

Deno.test("specDifferences() names each field that differs, with values that are short", () => {
  const existing = parse({ name: "a", mtu: 1400 });
  const changes: [Record<string, unknown>, string][] = [
    [{ name: "b" }, 'name ("a", requested "b")'],
    [{ namespace: "x" }, 'namespace ("default", requested "x")'],
    [{ uid: "x" }, 'UID (none, requested "x")'],
    [{ labels: { a: "b" } }, 'labels ({}, requested {"a":"b"})'],
    [
      { hostNetwork: true, mtu: undefined },
      "host network (false, requested true)",
    ],
    [
      { addresses: ["10.244.1.7"] },
      'requested addresses ([], requested ["10.244.1.7"])',
    ],
    [{ mac: "02:00:00:00:00:01" }, "MAC address (none, requested "],
    [{ mtu: undefined }, "MTU (1400, requested none)"],
    [{ defaultRoute: false }, "default route (true, requested false)"],
    [
      { bandwidth: { egress: 8000 } },
      'bandwidth (none, requested {"egress":8000}',
    ],
    [
      {
        interfaces: [{
          name: "net1",
          attachment: { type: "device", device: "eth1" },
        }],
      },
      "interfaces",
    ],
    [{ routes: [{ destination: "10.9.0.0/16" }] }, "routes ("],
    [{ interfaceName: "net1" }, 'interface name ("eth0", requested "net1")'],
    [port({}), "host ports"],
    [{ containers: [{ name: "app" }] }, "containers"],
    [{ sysctls: { "net.ipv4.tcp_fin_timeout": "9" } }, "sysctls"],
    [{ dns: { hostname: "b" } }, "DNS settings"],
  ];
  for (const [change, expected] of changes) {
    const differences = specDifferences(
      existing,
      parse({ name: "a", mtu: 1400, ...change }),
    );
    assert(
      differences.some((text) => text.startsWith(expected)),
      `${expected}: ${differences}`,
    );
  }
  const [long] = specDifferences(
    existing,
    parse({ name: "a", mtu: 1400, labels: { a: "x".repeat(100) } }),
  );
  assertEquals(long, "labels");
});

Deno.test("specDifferences() does not mind the order in which keys were stored", () => {
  const spec = parse({ name: "a", labels: { a: "1", b: "2" } });
  const reordered = { ...spec, labels: { b: "2", a: "1" } };
  assertNotEquals(JSON.stringify(reordered), JSON.stringify(spec));
  assertEquals(specDifferences(spec, reordered), []);
});

Deno.test("parsePortMappings() checks a list of mappings on its own", () => {
  const context = { families: [4] as const, hostNetwork: false };
  assertEquals(
    parsePortMappings([{ hostPort: 2, hostPortEnd: 3, containerPort: 8 }, {
      hostPort: 1,
      containerPort: 9,
    }], context),
    ([[1, 9], [2, 8], [3, 9]] as const).map(([hostPort, containerPort]) => ({
      protocol: "tcp",
      hostPort,
      containerPort,
    })),
  );
  const paths = problemsOf(() =>
    parsePortMappings([{ hostPort: 0, containerPort: 1 }, {
      hostPort: 1,
      containerPort: 1,
      hostIP: "::",
    }], context)
  ).map(({ path }) => path);
  assertEquals(paths, ["ports[0].hostPort", "ports[1].hostIP"]);
  assertEquals(
    problemsOf(() => parsePortMappings("8080:80", context)).map(({ path }) =>
      path
    ),
    ["ports"],
  );
});

Deno.test("parseContainerSpec() checks a container on its own", () => {
  assertEquals(
    parseContainerSpec({
      name: "a",
      ports: [81, { port: 80, protocol: "udp" }],
    }),
    {
      name: "a",
      ports: [{ port: 80, protocol: "udp" }, { port: 81, protocol: "tcp" }],
    },
  );
  const paths = (input: unknown) =>
    problemsOf(() => parseContainerSpec(input)).map(({ path }) => path);
  assertEquals(paths({ name: "a/b", ports: [0] }), ["name", "ports[0]"]);
  assertEquals(paths({ name: "a", ports: [80, 80] }), ["ports[1]"]);
});

Deno.test("a spec with nothing unusual becomes the same as by the whole schema", () => {
  const text = fc.string({ maxLength: 70 });
  const number = fc.integer({ min: -1, max: 65536 });
  const plain = fc.record({
    name: fc.oneof(fc.stringMatching(/^[a-z][a-z0-9_.-]{0,66}$/), text),
    namespace: fc.oneof(fc.stringMatching(/^[a-z]{1,9}$/), text),
    ports: fc.array(
      fc.record({
        hostPort: number,
        containerPort: number,
        hostPortEnd: number,
        protocol: fc.constantFrom("tcp", "udp", "sctp"),
        hostIP: fc.constantFrom("127.0.0.1", "::1", "0.0.0.0", "10.0.0"),
      }, { requiredKeys: ["hostPort", "containerPort"] }),
      { maxLength: 4 },
    ),
  }, { requiredKeys: ["name"] });
  const outcome = (spec: unknown) => {
    try {
      return parse(spec);
    } catch (error) {
      return problemsOf(() => {
        throw error;
      });
    }
  };
  fc.assert(fc.property(plain, (spec) => {
    // What is undefined is not there, and yet unusual.
    assertEquals(outcome(spec), outcome({ ...spec, mtu: undefined }));
  }));
});

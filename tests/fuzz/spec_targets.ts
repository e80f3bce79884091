/**
 * What callers write: specs, options, texts, command lines; and what lies on disk.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Encoder } from "cbor-x/encode";
import fc from "fast-check";
import { isIP, isIPv4, isIPv6 } from "node:net";
import { commands } from "../../src/cli/commands.ts";
import { sortOperands } from "../../src/cli/command.ts";
import { describe } from "../../src/cli/errors.ts";
import { parseOptions } from "../../src/cli/options.ts";
import { sandboxOptions, sandboxSpec } from "../../src/cli/sandbox_options.ts";
import { selectCommand } from "../../src/cli/select.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { isSandboxError } from "../../src/errors.ts";
import { formatPublish, parsePublish } from "../../src/hostport/mapping.ts";
import { sysctlPath } from "../../src/namespace/sysctl.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { dnsFiles } from "../../src/sandbox/dns.ts";
import { idOfAlias } from "../../src/sandbox/identity.ts";
import { nodeRecord, sandboxRecord } from "../../src/sandbox/records.ts";
import { parseNodeOptions } from "../../src/spec/node_options.ts";
import {
  parseContainerSpec,
  parsePortMappings,
  parseSandboxSpec,
} from "../../src/spec/parse.ts";
import { CborError, decodeCbor } from "../../src/state/cbor.ts";
import { decodeRecord } from "../../src/state/record.ts";
import { mutated, mutations } from "./mutation.ts";
import { attempt, type Target, target } from "./target.ts";

const node = {
  podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"].map((text) =>
    Cidr.parse(text)
  ),
};

/** A spec and options that use everything. */
const FULL_SPEC = {
  name: "web",
  namespace: "prod",
  id: "web-1",
  uid: "u-1",
  labels: { tier: "front", owner: "someone" },
  ports: [
    { hostPort: 8080, containerPort: 80 },
    {
      hostPort: 9000,
      hostPortEnd: 9003,
      containerPort: 90,
      containerPortEnd: 93,
      protocol: "udp",
      hostIP: "192.0.2.1",
    },
  ],
  containers: [{ name: "app", ports: [80, { port: 53, protocol: "udp" }] }],
  mtu: 1400,
  mac: "02:00:5e:10:00:01",
  addresses: ["10.244.1.7", "fd00:10:244:1::7"],
  sysctls: { "net.ipv4.ping_group_range": "0 1" },
  unsafeSysctls: ["net.ipv4.ip_forward"],
  dns: {
    nameservers: ["192.0.2.53"],
    searches: ["example.org"],
    options: ["ndots:5"],
    hostname: "web",
    hostAliases: [{ ip: "192.0.2.7", hostnames: ["db"] }],
  },
  hostNetwork: false,
  interfaceName: "eth0",
};
const FULL_OPTIONS = {
  name: "node-a",
  podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
  netns: "/run/netns/blue",
  stateDir: "/run/podnet",
  masquerade: true,
  nonMasqueradeCidrs: ["10.0.0.0/8"],
  mtu: 1400,
};

const cyclic: Record<string, unknown> = {};
cyclic["self"] = cyclic;

/** What nobody would write, and some do. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    NaN,
    -0,
    Infinity,
    1.5,
    -1,
    65536,
    2 ** 53,
    7n,
    "",
    " ",
    "\0",
    "\ud800",
    "\u202ereversed",
    "a\nb",
    "__proto__",
    "../x",
    "x".repeat(300),
    "1e3",
    "0x10",
    Symbol("s"),
    () => 1,
    new Date(0),
    new Map([["a", 1]]),
    new Uint8Array(3),
    [],
    {},
    cyclic,
    [cyclic],
    Object.create(null),
    new Array(60_000),
    JSON.parse('{"__proto__": {"polluted": true}}'),
    JSON.parse('{"constructor": {"prototype": {"polluted": true}}}'),
    {
      get name(): never {
        throw new RangeError("from a getter");
      },
    },
    {
      toJSON() {
        throw new TypeError("from toJSON");
      },
      toString() {
        throw new TypeError("from toString");
      },
    },
    new Proxy({}, {
      ownKeys() {
        throw new RangeError("from a proxy");
      },
    }),
    // Says something else each time it is asked.
    new Proxy({ name: "a" }, {
      get: () => Math.random() < 0.5 ? "ok" : 7,
    }),
    Proxy.revocable({}, {}).proxy,
  ),
  fc.anything({ withBigInt: true, maxDepth: 3 }),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.integer(),
);

/** Every place of a value, as the keys that lead there. */
function placesOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [[]];
  return [
    [],
    ...Object.entries(value).flatMap(([key, member]) =>
      placesOf(member).map((rest) => [key, ...rest])
    ),
  ];
}

/** The value with something else at a place, or with something that was not there. */
function replaced(
  value: unknown,
  place: readonly string[],
  by: unknown,
): unknown {
  const [key, ...rest] = place;
  if (key === undefined) return by;
  if (Array.isArray(value)) {
    return value.map((m, i) => `${i}` === key ? replaced(m, rest, by) : m);
  }
  const members = value as Record<string, unknown>;
  return { ...members, [key]: replaced(members[key], rest, by) };
}

/** A good input with odd things in some places, or with fields that are unknown or missing. */
function damaged(full: Record<string, unknown>): fc.Arbitrary<unknown> {
  const places = placesOf(full);
  const change = fc.tuple(
    fc.constantFrom(...places),
    fc.oneof(odd, fc.constant(undefined)),
    fc.option(fc.string({ maxLength: 8 })),
  );
  return fc.oneof(
    odd,
    fc.array(change, { maxLength: 3 }).map((changes) =>
      changes.reduce<unknown>((value, [place, by, extra]) => {
        const wanted = extra === null ? place : [...place.slice(0, -1), extra];
        try {
          return replaced(value, wanted, by);
        } catch {
          return by; // what was put there before cannot be looked into
        }
      }, full)
    ),
  );
}

/** Whether the path leads to something of the input, or to a field that could be there. */
function leadsSomewhere(path: string, input: unknown): boolean {
  const keys = [
    ...path.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g),
  ]
    .map(([, index, quoted, name]) =>
      index ?? (quoted === undefined ? name : JSON.parse(`"${quoted}"`))
    );
  let at = input;
  for (const key of keys.slice(0, -1)) {
    if (typeof at !== "object" || at === null) return false;
    try {
      at = Reflect.get(at, key ?? "");
    } catch {
      return true; // what throws is there
    }
  }
  return keys.length === 0 || (typeof at === "object" && at !== null) ||
    typeof at === "function";
}

/** Accepted and then the same again, or refused with problems that say where and what to write. */
function acceptedOrTold(
  parse: (input: unknown) => unknown,
  input: unknown,
  base = "",
): void {
  let output: unknown;
  try {
    output = parse(input);
  } catch (error) {
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
    const { problems } = error.context;
    assert(problems.length > 0);
    for (const { path, message } of problems) {
      assert(message.length > 5, message);
      const inside = base !== "" && path.startsWith(base)
        ? path.slice(base.length)
        : path;
      assert(leadsSomewhere(inside, input), `${path} leads nowhere`);
    }
    return;
  }
  assertEquals(parse(output), output);
  assertEquals(Reflect.get({}, "polluted"), undefined);
}

const specTargets: readonly Target[] = [
  target(
    "sandbox specs",
    damaged(FULL_SPEC),
    (input) => acceptedOrTold((x) => parseSandboxSpec(x, node), input),
    { runs: 1500 },
  ),
  target(
    "node options",
    damaged(FULL_OPTIONS),
    (input) => acceptedOrTold(parseNodeOptions, input),
    { runs: 1000 },
  ),
  target(
    "port mappings",
    damaged({ ports: FULL_SPEC.ports }).map((x) =>
      typeof x === "object" && x !== null && Object.hasOwn(x, "ports")
        ? Reflect.get(x, "ports")
        : x
    ),
    (input) =>
      acceptedOrTold(
        (x) => parsePortMappings(x, { families: [4, 6], hostNetwork: false }),
        input,
        "ports",
      ),
    { runs: 600 },
  ),
  target(
    "containers",
    damaged({ name: "app", ports: [80, { port: 53, protocol: "udp" }] }),
    (input) => acceptedOrTold(parseContainerSpec, input),
    { runs: 600 },
  ),
];

/** Texts that almost are addresses. */
const addressText = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.stringMatching(/^[0-9a-f:.%/]{0,24}$/),
  fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), mutations).map(([text, damage]) =>
    String.fromCharCode(...mutated(new TextEncoder().encode(text), damage))
  ),
);

const textTargets: readonly Target[] = [
  target("IP addresses, as node:net reads them", addressText, (text) => {
    const ip = attempt(() => IpAddress.parse(text), RangeError);
    // Zones are names of links, and no part of an address here.
    const expected = text.includes("%") ? 0 : isIP(text);
    assertEquals(ip?.family ?? 0, expected, JSON.stringify(text));
    if (ip === undefined) return;
    const again = String(ip);
    assert(ip.equals(IpAddress.parse(again)));
    assert(ip.family === 4 ? isIPv4(again) : isIPv6(again));
    if (ip.family === 6) {
      const { hostname } = new URL(`http://[${text}]/`);
      // The URL Standard writes IPv4 in IPv6 form in hexadecimal.
      if (!ip.isIpv4Mapped) assertEquals(again, hostname.slice(1, -1));
    }
  }, { runs: 2000 }),
  target(
    "networks",
    fc.tuple(
      addressText,
      fc.oneof(fc.nat({ max: 130 }).map(String), fc.string()),
    ),
    ([address, length]) => {
      const cidr = attempt(
        () => Cidr.parse(`${address}/${length}`),
        RangeError,
      );
      if (cidr === undefined) return;
      assert(cidr.equals(Cidr.parse(String(cidr))));
      assert(
        cidr.contains(cidr.network) && cidr.contains(cidr.at(cidr.size - 1n)),
      );
    },
    { runs: 800 },
  ),
  target(
    "MAC addresses",
    fc.oneof(
      fc.stringMatching(/^[0-9a-fA-F:-]{0,20}$/),
      fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) =>
        String(MacAddress.fromBytes(bytes))
      ),
    ),
    (text) => {
      const mac = attempt(() => MacAddress.parse(text), RangeError);
      if (mac !== undefined) assertEquals(String(mac), text.toLowerCase());
    },
    { runs: 500 },
  ),
  target(
    "publish syntax",
    fc.oneof(
      fc.stringMatching(/^[0-9a-f:.[\]/\-tcpud]{0,24}$/),
      fc.tuple(
        fc.constantFrom("", "127.0.0.1:", "[::1]:", "[fd00::1]:", "0.0.0.0:"),
        fc.nat({ max: 70000 }),
        fc.nat({ max: 70000 }),
        fc.constantFrom("", "/tcp", "/udp", "/sctp", "/x"),
      ).map(([ip, a, b, protocol]) => `${ip}${a}:${b}${protocol}`),
    ),
    (text) => {
      const mapping = attempt(() => parsePublish(text), RangeError);
      if (mapping === undefined || mapping.hostPortEnd !== undefined) return;
      if (mapping.containerPortEnd !== undefined) return;
      const { protocol = "tcp", ...rest } = mapping;
      assertEquals(parsePublish(formatPublish(mapping)), { ...rest, protocol });
    },
    { runs: 1000 },
  ),
  target(
    "sysctl names",
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.stringMatching(/^net[./][a-z0-9._/-]{0,30}$/),
    ),
    (name) => {
      let path: string;
      try {
        path = sysctlPath(name);
      } catch (error) {
        assert(isSandboxError(error, "InvalidSpec"), `${error}`);
        return;
      }
      assert(new URL(`file://${path}`).pathname.startsWith("/proc/sys/net/"));
      assert(!path.split("/").includes(".."));
    },
    { runs: 1000 },
  ),
  target(
    "aliases of links",
    fc.tuple(fc.string(), fc.string({ unit: "binary" })),
    ([node, alias]) => {
      for (
        const text of [alias, `podnet:${node}/${alias}`, `podnet:${alias}`]
      ) {
        idOfAlias(node, text);
      }
    },
    { runs: 500 },
  ),
  target(
    "resolv.conf of the node",
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.array(
        fc.tuple(
          fc.constantFrom(
            "nameserver",
            "search",
            "domain",
            "options",
            "#",
            ";",
            "x",
          ),
          fc.string({ unit: "binary", maxLength: 20 }),
        ).map(([word, rest]) => `${word} ${rest}`),
      ).map((lines) => lines.join("\n")),
    ),
    (text) => {
      const { resolvConf } = dnsFiles(
        { dns: { hostname: "web", hostAliases: [] } },
        ["10.244.1.7"],
        text,
      );
      for (const line of resolvConf.split("\n").slice(0, -1)) {
        assert(/^(nameserver|search|options) \S/.test(line), line);
      }
    },
    { runs: 600 },
  ),
];

const words = [
  ...[...commands.keys()].flatMap((name) => name.split(" ")),
  ...Object.keys(sandboxOptions).flatMap((n) => [`--${n}`, `--${n}=`]),
  "-p",
  "-o",
  "-f",
  "-h",
  "--",
  "-",
  "--help",
  "--version",
  "--debug",
  "--node",
  "--netns=7",
  "--no-force",
  "--__proto__",
  "--__proto__.x=1",
  "--constructor=1",
  "--mtu.x=1",
  "-p8080:80",
  "8080:80",
  "a=b",
  "app:80,53/udp",
  "web",
  "1400",
  "true",
];

const commandTargets: readonly Target[] = [
  target(
    "command lines",
    fc.array(
      fc.oneof(
        fc.constantFrom(...words),
        fc.string({ unit: "binary", maxLength: 12 }),
        fc.stringMatching(/^--?[a-z_.=-]{0,12}$/),
      ),
      { maxLength: 8 },
    ),
    async (args) => {
      try {
        const selected = selectCommand(args);
        if (selected.kind !== "command") return;
        const { name, entry } = selected;
        const command = await entry.load();
        const { operands, afterDashes, options } = parseOptions(
          command.options,
          selected.args,
          `podnet ${name}`,
        );
        sortOperands(name, command, operands, afterDashes);
        if (name !== "create" && name !== "run") return;
        const spec = await sandboxSpec(
          operands[0] ?? "",
          options as unknown as Parameters<typeof sandboxSpec>[1],
        );
        acceptedOrTold((x) => parseSandboxSpec(x, node), spec);
      } catch (error) {
        assert(error instanceof UsageError, `${error}`);
        const { lines, exitCode } = await describe(error);
        assertEquals(exitCode, 2);
        // deno-lint-ignore no-control-regex
        for (const line of lines) assert(!/[\x00-\x1f\x7f-\x9f]/.test(line));
      }
    },
    { runs: 2000, async: true },
  ),
];

const cbor = new Encoder({ useRecords: false, tagUint8Array: false });
const plain = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(true, false, null, undefined),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).filter((n) => !Object.is(n, -0)),
    fc.string({ unit: "grapheme" }).filter((text) => text.isWellFormed()),
    fc.uint8Array({ maxLength: 8 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      fc.string({ unit: "grapheme-ascii", maxLength: 8 }).filter((key) =>
        !["__proto__", "constructor", "prototype"].includes(key)
      ),
      tie("value"),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
})).value;

/** Records: CBOR against a second implementation, and what is made of it. */
function recordTargets(): readonly Target[] {
  const good = cbor.encode({
    podnet: "sandbox",
    version: 1,
    body: { id: "x", state: "ready", addresses: ["10.0.0.1"], mtu: 1400 },
  });
  const read = (bytes: Uint8Array) => {
    attempt(() => decodeCbor(bytes), CborError);
    for (const kind of [sandboxRecord, nodeRecord]) {
      try {
        decodeRecord<unknown>(kind as typeof sandboxRecord, bytes, "/the/path");
      } catch (error) {
        assert(isSandboxError(error, "RecordInvalid"), `${error}`);
        assertEquals(error.context.path, "/the/path");
      }
    }
  };
  return [
    target("CBOR that another program wrote", plain, (value) => {
      assertEquals(decodeCbor(new Uint8Array(cbor.encode(value))), value);
    }, { runs: 800 }),
    target("records of noise", fc.uint8Array({ maxLength: 64 }), read, {
      runs: 1500,
    }),
    target(
      "records damaged",
      fc.tuple(
        fc.oneof(
          fc.constant(new Uint8Array(good)),
          plain.map((value) => new Uint8Array(cbor.encode(value))),
          plain.map((body) =>
            new Uint8Array(cbor.encode({ podnet: "sandbox", version: 1, body }))
          ),
        ),
        fc.oneof(fc.constant([]), mutations),
      ),
      ([bytes, damage]) => read(mutated(bytes, damage)),
      { runs: 1500 },
    ),
  ];
}

/** All of them; none needs a kernel. */
export function inputTargets(): readonly Target[] {
  return [
    ...specTargets,
    ...textTargets,
    ...commandTargets,
    ...recordTargets(),
  ];
}

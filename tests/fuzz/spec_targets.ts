/**
 * What callers write: specs and options.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { isSandboxError } from "../../src/errors.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { parseNodeOptions } from "../../src/spec/node_options.ts";
import {
  parseContainerSpec,
  parsePortMappings,
  parseSandboxSpec,
} from "../../src/spec/parse.ts";
import { type Target, target } from "./target.ts";

/** What specs are checked against. */
export const node = {
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
  attachment: { type: "routed" },
  defaultRoute: false,
  interfaces: [
    {
      name: "net1",
      attachment: { type: "macvlan", parent: "eth1", mode: "vepa" },
      addresses: ["192.168.1.7/24", "fd01::7/64"],
      gateways: ["192.168.1.1", "fd01::1"],
      defaultRoute: true,
      routes: [{ destination: "10.9.0.0/16", gateway: "192.168.1.2" }],
      mtu: 1400,
      mac: "02:00:5e:10:00:02",
    },
    { name: "net2", attachment: { type: "device", device: "eth2" } },
    {
      name: "net3",
      attachment: {
        type: "bridge",
        bridge: "cni0",
        nodeAddresses: ["10.88.0.1/16", "fd88::1/64"],
        masquerade: true,
        ranges: [
          { network: "10.88.0.0/16", first: "10.88.0.9", last: "10.88.0.99" },
          { network: "fd88::/64" },
        ],
        hairpin: true,
        isolated: true,
        macSpoofCheck: false,
      },
    },
  ],
  bandwidth: { ingress: 10_000_000, ingressBurst: 80_000, egress: 64_000 },
  routes: [
    { destination: "192.0.2.0/24", gateway: "10.244.1.1" },
    { destination: "2001:db8::/32" },
  ],
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
export function damaged(full: Record<string, unknown>): fc.Arbitrary<unknown> {
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
export function acceptedOrTold(
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
  // Half a character would come back from a record as another one; JSON.stringify() escapes it.
  assert(!/\\ud[89a-f]/.test(JSON.stringify(output)), "half a character");
  assertEquals(Reflect.get({}, "polluted"), undefined);
}

/** The targets. */
export const specTargets: readonly Target[] = [
  target(
    "sandbox specs",
    damaged(FULL_SPEC),
    (input) => acceptedOrTold((x) => parseSandboxSpec(x, node), input),
    { runs: 1500 },
  ),
  target(
    "node options",
    damaged(FULL_OPTIONS),
    (input) => acceptedOrTold((x) => parseNodeOptions(x, () => "here"), input),
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

import { assertEquals, assertStringIncludes } from "@std/assert";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { parseNodeOptions } from "../../src/spec/node_options.ts";
import { problemsOf } from "./cases.ts";

const parse = (options: unknown) => parseNodeOptions(options, () => "here");

type BadOptions = readonly [
  options: Record<string, unknown>,
  path: string,
  message: string,
];

const BAD_OPTIONS: Readonly<Record<string, readonly BadOptions[]>> = {
  "the name is wrong": ["", "a/b", "..", "x".repeat(65), "a\n", 5, null]
    .map((name) => [{ name }, "name", "write a name of at most 64"]),
  "pod CIDRs cannot be used": [
    [{ podCidrs: "10.244.1.0/24" }, "podCidrs", "write a list of networks"],
    [{ podCidrs: [24] }, "podCidrs[0]", "write a network"],
    [{ podCidrs: ["10.244.1.0"] }, "podCidrs[0]", "is not a network"],
    [{ podCidrs: ["10.244.1.0/33"] }, "podCidrs[0]", "must be 0 to 32"],
    [{ podCidrs: ["10.244.1.7/24"] }, "podCidrs[0]", 'write "10.244.1.0/24"'],
    [{ podCidrs: ["fd00::1/64"] }, "podCidrs[0]", 'write "fd00::/64"'],
    [{ podCidrs: ["::ffff:10.0.0.0/120"] }, "podCidrs[0]", "write 10.0.0.0"],
    ...["10.0.0.0/31", "10.0.0.0/32", "fd00::/127", "fd00::/128"]
      .map((
        cidr,
      ): BadOptions => [{ podCidrs: [cidr] }, "podCidrs[0]", "is too small"]),
    ...[
      "0.0.0.0/0",
      "0.0.0.0/24",
      "127.0.0.0/24",
      "169.254.0.0/16",
      "224.0.0.0/24",
      "255.255.255.0/24",
      "::/0",
      "::/64",
      "fe80::/64",
      "ff00::/64",
    ].map((
      cidr,
    ): BadOptions => [
      { podCidrs: [cidr] },
      "podCidrs[0]",
      "write a private network",
    ]),
  ],
  "pod CIDRs do not go together": [
    [
      { podCidrs: ["10.0.0.0/8", "10.1.0.0/16"] },
      "podCidrs[1]",
      "overlaps podCidrs[0], 10.0.0.0/8",
    ],
    [
      { podCidrs: ["10.1.0.0/16", "10.0.0.0/8"] },
      "podCidrs[1]",
      "overlaps podCidrs[0], 10.1.0.0/16",
    ],
    [
      { podCidrs: ["10.1.0.0/16", "10.1.0.0/16"] },
      "podCidrs[1]",
      "overlaps podCidrs[0]",
    ],
    [
      { podCidrs: ["10.1.0.0/16", "10.2.0.0/16"] },
      "podCidrs[1]",
      "a node has one IPv4 pod CIDR",
    ],
    [
      { podCidrs: ["fd00::/64", "10.2.0.0/16", "fd01::/64"] },
      "podCidrs[2]",
      "a node has one IPv6 pod CIDR",
    ],
  ],
  "non-masquerade CIDRs are wrong": [
    [
      { nonMasqueradeCidrs: "10.0.0.0/8" },
      "nonMasqueradeCidrs",
      "write a list of networks",
    ],
    [
      { nonMasqueradeCidrs: ["10.0.0.1/8"] },
      "nonMasqueradeCidrs[0]",
      'write "10.0.0.0/8"',
    ],
    [
      { nonMasqueradeCidrs: ["0.0.0.0/0"] },
      "nonMasqueradeCidrs[0]",
      "switch masquerading off",
    ],
    [
      { nonMasqueradeCidrs: ["fd00::/8", "ff05::/16"] },
      "nonMasqueradeCidrs[1]",
      "overlaps multicast",
    ],
  ],
  "the namespace is no reference to one": [
    "",
    "a\0",
    "/run/\ud800",
    0,
    -1,
    1.5,
    NaN,
    null,
    {},
    true,
  ]
    .map((netns) => [{ netns }, "netns", "write a path, a name of ip netns"]),
  "the state directory is no absolute path": [
    "",
    "/",
    "podnet",
    "./podnet",
    "/run/pod\0net",
    "/run/\ud800",
    5,
    null,
  ]
    .map((stateDir) => [{ stateDir }, "stateDir", "an absolute path like"]),
  "another setting is wrong": [
    [{ masquerade: "no" }, "masquerade", "write true or false"],
    [{ mtu: 0 }, "mtu", "from 68 to 65535"],
    [{ mtu: 1279, podCidrs: ["fd00::/64"] }, "mtu", "write at least 1280"],
    [{ podCIDRs: ["fd00::/64"] }, "podCIDRs", "did you mean podCidrs?"],
    [{ cluster: {} }, "cluster", "leave it out"],
  ],
};

for (const [subject, cases] of Object.entries(BAD_OPTIONS)) {
  Deno.test(`parseNodeOptions() names the one problem when ${subject}`, () => {
    for (const [options, path, message] of cases) {
      const found = problemsOf(() => parse(options));
      const text = Deno.inspect([options, found], { depth: 9 });
      assertEquals(found.map((problem) => problem.path), [path], text);
      assertStringIncludes(found[0]?.message ?? "", message, text);
    }
  });
}

Deno.test("parseNodeOptions() reports every problem at once", () => {
  const paths = problemsOf(() =>
    parse({
      name: "",
      podCidrs: ["10.0.0.1/8", "127.0.0.0/31"],
      stateDir: "run",
      mtu: 1,
      netns: 0,
      x: 1,
    })
  ).map(({ path }) => path);
  assertEquals(paths.toSorted(), [
    "mtu",
    "name",
    "netns",
    "podCidrs[0]",
    "podCidrs[1]", // loopback
    "podCidrs[1]", // too small
    "stateDir",
    "x",
  ]);
});

Deno.test("parseNodeOptions() leaves out what was left out, so that kept settings can stand", () => {
  const defaults = { name: "here", stateDir: "/run/podnet" };
  assertEquals(parse({}), defaults);
  assertEquals(parse({ mtu: undefined, name: undefined }), defaults);
});

Deno.test("parseNodeOptions() checks the default name like one that is given", () => {
  const [problem] = problemsOf(() => parseNodeOptions({}, () => "a/b"));
  assertEquals([problem?.path, problem?.received], ["name", "a/b"]);
});

Deno.test("parseNodeOptions() gives canonical texts, pod CIDRs in the given order", () => {
  assertEquals(
    parse({
      name: "node-a",
      podCidrs: ["FD00:0:0::/64", "10.244.1.0/24"],
      stateDir: "/tmp/state//",
      masquerade: false,
      nonMasqueradeCidrs: ["fd00::/8", "10.0.0.0/8", "FD00::/8"],
      mtu: 1400,
      netns: 1,
    }),
    {
      name: "node-a",
      podCidrs: ["fd00::/64", "10.244.1.0/24"],
      stateDir: "/tmp/state",
      masquerade: false,
      nonMasqueradeCidrs: ["10.0.0.0/8", "fd00::/8"],
      mtu: 1400,
      netns: 1,
    },
  );
});

Deno.test("parseNodeOptions() takes a path or an open namespace", () => {
  using namespace = NetworkNamespace.current();
  for (const netns of ["/run/netns/lab-a", namespace]) {
    assertEquals(parse({ netns }).netns === netns, true);
  }
});

/**
 * Every property that a creation gives to a pod's link and namespace, told by comparing with a link that was made without
 * podnet: each is in the table below, which says how it is undone and found; none is mended by chance.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { NetworkNamespace } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { textOf } from "./site.ts";

/** A property by the name that ip or /proc/sys/net has for it, what undoes it, and what check() says then. */
type Row = readonly [property: string, undo: string, found: RegExp];

/** Of the node's end; `LINK` stands for its name. */
const OF_HOST: readonly Row[] = [
  [
    "ifalias",
    "ip link set LINK alias theirs",
    /^link pn-\w+ has alias "theirs"$/,
  ],
  [
    "address",
    "ip link set LINK address 02:00:00:00:00:01",
    /^link pn-\w+ has MAC 02:00:00:00:00:01, not ee:/,
  ],
  ["mtu", "ip link set LINK mtu 1300", /^link pn-\w+ has MTU 1300, not 1500$/],
  [
    "inet6_addr_gen_mode",
    "ip link set LINK addrgenmode eui64",
    /^link pn-\w+ makes link-local addresses \(eui64\)$/,
  ],
  [
    "ipv4/conf/forwarding",
    "sysctl -qw net.ipv4.conf.LINK.forwarding=0",
    /^sysctl net\.ipv4\.conf\.pn-\w+\.forwarding is 0, not 1$/,
  ],
  [
    "ipv4/conf/rp_filter",
    "sysctl -qw net.ipv4.conf.LINK.rp_filter=2",
    /^sysctl net\.ipv4\.conf\.pn-\w+\.rp_filter is 2, not 1$/,
  ],
  [
    "ipv4/conf/accept_redirects",
    "sysctl -qw net.ipv4.conf.LINK.accept_redirects=1",
    /^sysctl net\.ipv4\.conf\.pn-\w+\.accept_redirects is 1, not 0$/,
  ],
  [
    "ipv4/conf/accept_source_route",
    "sysctl -qw net.ipv4.conf.LINK.accept_source_route=1",
    /^sysctl net\.ipv4\.conf\.pn-\w+\.accept_source_route is 1, not 0$/,
  ],
  [
    "ipv4/conf/arp_filter",
    "sysctl -qw net.ipv4.conf.LINK.arp_filter=0",
    /^sysctl net\.ipv4\.conf\.pn-\w+\.arp_filter is 0, not 1$/,
  ],
];

/** Of the pod's end, and what is set for the whole namespace. */
const OF_POD: readonly Row[] = [
  [
    "address",
    "ip link set eth0 address 02:00:00:00:00:02",
    /^pod's link eth0 has MAC 02:00:00:00:00:02, not /,
  ],
  ["mtu", "ip link set eth0 mtu 1300", /^pod's link eth0 has MTU 1300/],
  [
    "inet6_addr_gen_mode",
    "ip link set eth0 addrgenmode eui64",
    /^pod's link eth0 makes link-local addresses \(eui64\)$/,
  ],
];

/** What is different for any two links, what follows from others, and the second name of `inet6_addr_gen_mode`. */
const INCIDENTAL =
  /^(?:ifindex|ifname|link|link_index|link_netnsid|txqlen|operstate|flags\.\d+|altnames.*|ipv6\/conf\/(?:stable_secret|addr_gen_mode)|.*\/mtu|ipv[46]\/neigh\/.*)$/;

let lab: Lab;
let node: LabNode;
let pod: Pod;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
  pod = await Pod.create(node, { name: "web" });
});

Deno.test.afterAll(async () => {
  await pod[Symbol.asyncDispose]();
  await lab[Symbol.asyncDispose]();
});

/** All that ip and /proc tell of a link, and of the namespace for all links, by name. */
function properties(
  namespace: NetworkNamespace,
  link: string,
  scopes: readonly string[],
): Map<string, string> {
  const found = new Map<string, string>();
  const add = (name: string, value: unknown) => {
    if (typeof value !== "object" || value === null) {
      found.set(name, String(value));
      return;
    }
    for (const [key, inner] of Object.entries(value)) {
      add(name === "" ? key : `${name}.${key}`, inner);
    }
  };
  const [shown] = JSON.parse(command(namespace, `ip -j -d link show ${link}`));
  add("", shown);
  for (const scope of [link, ...scopes]) {
    const text = command(
      namespace,
      `for d in /proc/sys/net/ipv[46]/*/${scope}; do grep -r . $d 2>/dev/null || true; done`,
    );
    for (const line of text.trim().split("\n")) {
      const [, family, kind, name, value] =
        /^\/proc\/sys\/net\/(ipv[46])\/(\w+)\/[^/]+\/(\w+):(.*)$/.exec(line) ??
          [];
      if (family === undefined) continue;
      const of = scope === link ? "" : `${scope}/`;
      found.set(`${family}/${kind}/${of}${name}`, value ?? "");
    }
  }
  return found;
}

function differing(
  one: ReadonlyMap<string, string>,
  other: ReadonlyMap<string, string>,
): string[] {
  return [...new Set([...one.keys(), ...other.keys()])]
    .filter((name) => one.get(name) !== other.get(name))
    .filter((name) => !INCIDENTAL.test(name));
}

const PLAIN =
  "ip link add plain0 mtu 1500 numtxqueues 1 numrxqueues 1 type veth peer name plain1 mtu 1500 numtxqueues 1 numrxqueues 1; ip link set plain0 up; ip link set plain1 up";

Deno.test("whatever a creation sets on the node's end of a link is in the table", () => {
  command(node.namespace, PLAIN);
  const { hostInterface = "" } = pod.sandbox;
  const set = differing(
    properties(node.namespace, hostInterface, []),
    properties(node.namespace, "plain0", []),
  );
  command(node.namespace, "ip link del plain0");
  assert(set.includes("ifalias"), "nothing was compared");
  const known = new Set(OF_HOST.map(([name]) => name));
  assertEquals(set.filter((name) => !known.has(name)), []);
});

Deno.test("whatever a creation sets in the pod is in the table", () => {
  using plain = NetworkNamespace.create();
  command(plain, PLAIN);
  const set = differing(
    properties(pod.namespace, "eth0", ["all", "default"]),
    properties(plain, "plain0", ["all", "default"]),
  );
  assert(set.includes("inet6_addr_gen_mode"), "nothing was compared");
  const known = new Set(OF_POD.map(([name]) => name));
  assertEquals(set.filter((name) => !known.has(name)), []);
});

for (
  const [where, rows] of [["node's end", OF_HOST], ["pod", OF_POD]] as const
) {
  for (const [property, undo, pattern] of rows) {
    Deno.test(`check() finds and repair() mends ${property} of the ${where}`, async () => {
      const { hostInterface = "" } = pod.sandbox;
      const namespace = where === "pod" ? pod.namespace : node.namespace;
      const state = () => properties(namespace, link, ["all", "default"]);
      const link = where === "pod" ? "eth0" : hostInterface;
      const before = state();
      command(namespace, undo.replaceAll("LINK", hostInterface));
      const found = await node.node.check();
      assert(
        found.some((finding) => pattern.test(textOf(finding))),
        `${pattern} in:\n${found.map(textOf).join("\n")}`,
      );
      assertEquals((await node.node.repair()).remaining, []);
      assertEquals(await node.node.check(), []);
      assertEquals(differing(state(), before), []);
    });
  }
}

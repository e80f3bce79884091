/**
 * createSandbox() of a sandbox that exists.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { SandboxError, type SandboxSpec } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { ask, FAMILIES, TRANSPORTS } from "../support/ask.ts";
import { command, ipLinks } from "../support/command.ts";
import { assertAsBefore, claimsOf, snapshot } from "../support/node_state.ts";

const SYSCTL = "net.ipv4.tcp_fin_timeout";
const SPEC: SandboxSpec = {
  name: "web",
  uid: "uid-1",
  labels: { app: "web" },
  mtu: 1400,
  ports: TRANSPORTS.map((protocol) => ({
    protocol,
    hostPort: 8080,
    containerPort: 80,
  })),
  sysctls: { [SYSCTL]: "11" },
};

let lab: Lab;
let node: LabNode;
let pod: Pod;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});

Deno.test.beforeEach(async () => {
  pod = await Pod.create(node, SPEC);
});

Deno.test.afterEach(async () => {
  pod.namespace[Symbol.dispose]();
  await node.node.removeSandbox("web");
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

/** It can be reached on every way that its spec asks for. */
function assertWorks(web: Pod): void {
  for (const family of FAMILIES) {
    for (const transport of TRANSPORTS) {
      using server = web.serve(transport, family, 80);
      for (
        const [client, to] of [
          [node, { address: web.address(family), port: 80 }],
          [lab.outside, { address: nodeAddress(family), port: 8080 }],
        ] as const
      ) {
        const answer = ask(transport, client.namespace, to, [server]);
        assert(
          typeof answer === "object",
          `${client.name}, ${transport}, ipv${family}: ${answer}`,
        );
      }
    }
  }
}

Deno.test("createSandbox() with the same spec returns the sandbox that exists and changes nothing", async () => {
  const before = await snapshot(node);
  const again = await node.node.createSandbox(SPEC);
  assertEquals(again.toJSON(), pod.sandbox.toJSON());
  // The order of keys and of what is a set means nothing.
  const turned = await node.node.createSandbox({
    ...Object.fromEntries(Object.entries(SPEC).toReversed()),
    name: SPEC.name,
    namespace: "default",
    ports: SPEC.ports?.toReversed() ?? [],
  });
  assertEquals(turned.toJSON(), pod.sandbox.toJSON());
  await assertAsBefore(node, before);
  assertWorks(pod);
});

const OTHERS: readonly (readonly [string, Partial<SandboxSpec>])[] = [
  ['UID ("uid-1", requested "uid-2")', { uid: "uid-2" }],
  ["MTU (1400, requested 1300)", { mtu: 1300 }],
  ['labels ({"app":"web"}, requested {})', { labels: {} }],
  ["host ports", { ports: [] }],
  ["sysctls", { sysctls: { [SYSCTL]: "12" } }],
  ["containers", { containers: [{ name: "app" }] }],
  ["MAC address", { mac: "02:00:00:00:00:01" }],
  ["interface name", { interfaceName: "net1" }],
  ["requested addresses", { addresses: ["10.244.1.99"] }],
];

Deno.test("createSandbox() with another spec names each difference and leaves the sandbox as it is", async () => {
  const before = await snapshot(node);
  for (const [difference, other] of OTHERS) {
    const error = await assertRejects(
      () => node.node.createSandbox({ ...SPEC, ...other }),
      SandboxError<"SandboxConflict">,
    );
    assertEquals(error.code, "SandboxConflict");
    const { differences, ...context } = error.context;
    assertEquals(context, { id: pod.sandbox.id, name: "web" });
    assertEquals(differences.length, 1, differences.join());
    assert(differences[0]?.startsWith(difference), differences.join());
  }
  // It is told by the name that it has.
  const { id } = pod.sandbox;
  const named = await assertRejects(
    () => node.node.createSandbox({ ...SPEC, id, name: "other" }),
    SandboxError<"SandboxConflict">,
  );
  assertEquals(named.context.name, "web");
  const error = await assertRejects(
    () => node.node.createSandbox({ ...SPEC, mtu: 1300, uid: "uid-2" }),
    SandboxError<"SandboxConflict">,
  );
  assertEquals(error.context.differences, [
    'UID ("uid-1", requested "uid-2")',
    "MTU (1400, requested 1300)",
  ]);
  await assertAsBefore(node, before);
  assertWorks(pod);
});

Deno.test("createSandbox() of one name ten times at once makes one sandbox, and all get it", async () => {
  const spec = {
    name: "crowd",
    ports: [{ hostPort: 9090, containerPort: 90 }],
  };
  const found = await Promise.all(
    Array.from({ length: 10 }, () => node.node.createSandbox(spec)),
  );
  const [first] = found;
  assert(first);
  for (const sandbox of found) assertEquals(sandbox.toJSON(), first.toJSON());
  const links = ipLinks(node.namespace).filter(({ ifname }) =>
    ifname === first.hostInterface
  );
  assertEquals(links.length, 1);
  assertEquals(await node.node.check(), []);
  await first.remove();
});

/** What a pod may lose: how, and where. `H` stands for the host's end of the link, `4` and `6` for addresses. */
const LOSSES: readonly (readonly [string, "node" | "pod", string])[] = [
  ["its host route", "node", "ip route del A4 dev H"],
  ["its IPv6 host route", "node", "ip -6 route del A6 dev H"],
  ["its neighbour entry on the node", "node", "ip neigh del A4 dev H"],
  ["the node's end of its link being up", "node", "ip link set H down"],
  ["the MTU of the node's end", "node", "ip link set H mtu 1500"],
  ["its host ports", "node", "nft flush map inet podnet hostports4"],
  ["its way to itself", "node", "nft flush set inet podnet hairpin6"],
  ["its address", "pod", "ip addr del A4/32 dev eth0"],
  ["its IPv6 address", "pod", "ip -6 addr del A6/128 dev eth0"],
  ["its default route", "pod", "ip route del default"],
  ["its IPv6 default route", "pod", "ip -6 route del default"],
  ["its neighbour entry", "pod", "ip neigh del 10.244.1.1 dev eth0"],
  ["its end of the link being up", "pod", "ip link set eth0 down"],
  ["its MTU", "pod", "ip link set eth0 mtu 1300"],
  ["its MAC", "pod", "ip link set eth0 address 02:00:00:00:00:99"],
  ["its loopback", "pod", "ip link set lo down"],
  ["its sysctl", "pod", `sysctl -qw ${SYSCTL}=60`],
];

for (const [what, where, line] of LOSSES) {
  Deno.test(`createSandbox() mends a sandbox that has lost ${what}`, async () => {
    const { sandbox } = pod;
    const { namespace } = where === "node" ? node : pod;
    command(
      namespace,
      line.replace("A4", pod.address(4)).replace("A6", pod.address(6))
        .replace("H", sandbox.hostInterface ?? ""),
    );
    assertNotEquals(await node.node.check(), []);
    const mended = await node.node.createSandbox(SPEC);
    assertEquals(mended.toJSON(), sandbox.toJSON());
    assertEquals(await node.node.check(), []);
    assertWorks(pod);
  });
}

const ENDS: readonly (readonly [string, string, { isNew: boolean }])[] = [
  ["link, in its namespace", "ip link del H", { isNew: false }],
  ["network namespace, as a new one", "umount -l N", { isNew: true }],
];

for (const [what, line, { isNew }] of ENDS) {
  Deno.test(`createSandbox() makes a sandbox whole again that has lost its ${what}`, async () => {
    const { sandbox } = pod;
    const claims = claimsOf(node).length;
    command(
      node.namespace,
      line.replace("H", sandbox.hostInterface ?? "")
        .replace("N", sandbox.netnsPath),
    );
    pod.namespace[Symbol.dispose]();
    assertNotEquals(await node.node.check(), []);
    await using anew = await Pod.create(node, SPEC);
    const { hostInterface: _, createdAt, ...same } = anew.sandbox.toJSON();
    assertEquals(createdAt !== sandbox.createdAt, isNew);
    const { hostInterface: __, createdAt: ___, ...old } = sandbox.toJSON();
    assertEquals(same, old);
    assertEquals(await node.node.check(), []);
    assertEquals(claimsOf(node).length, claims);
    assertWorks(anew);
  });
}

Deno.test("createSandbox() makes a pod with its guard when the ruleset was flushed", async () => {
  const before = await snapshot(node);
  command(node.namespace, "nft flush ruleset");
  const mended = await node.node.createSandbox(SPEC);
  assertEquals(mended.toJSON(), pod.sandbox.toJSON());
  await assertAsBefore(node, before);
  assertWorks(pod);
});

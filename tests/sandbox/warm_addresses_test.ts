/**
 * Addresses and MACs of sandboxes from namespaces that were made ahead.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Node, SandboxSpec } from "../../mod.ts";
import type { LabNode } from "../../src/testing/mod.ts";
import { ask, FAMILIES } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { until } from "../support/patience.ts";
import { byFamily, Pod } from "../support/pods.ts";
import { blanks, directoryOf, eachWarm, likeness } from "../support/warm.ts";

const SIZE = 3;

let host: LabNode;
let node: Node;

eachWarm(SIZE, (given) => ({ host, node } = given));

/** One of the node's pod CIDRs. */
const NTH = byFamily("10.244.1.7", "fd00:10:244:1::7");

/** Addresses of the pods' ends of links that are nobody's yet. */
function promised(): string[] {
  const enter = "nsenter --net=$pin ip -o addr show dev eth0";
  return command(
    host.namespace,
    `for pin in ${directoryOf(host)}/warm/*/*/netns; do ${enter}; done`,
  ).split("\n").flatMap((line) => /inet6? ([^/]+)/.exec(line)?.[1] ?? []);
}

/** Asks a server in the pod by all of its addresses. */
function assertAnswers(pod: Pod): void {
  for (const family of FAMILIES) {
    using server = pod.serve("tcp", family, 80);
    const to = { address: pod.address(family), port: 80 };
    const answer = ask("tcp", host.namespace, to, [server]);
    assert(typeof answer === "object", `${to.address}: ${answer}`);
  }
}

Deno.test("a sandbox from a namespace made ahead has the addresses of that", async () => {
  const addresses = promised();
  await using pod = await Pod.create(node);
  for (const address of pod.sandbox.addresses) {
    assert(addresses.includes(address), address);
  }
});

const OWN: readonly (readonly [string, Partial<SandboxSpec>])[] = [
  ["a MAC", { mac: "02:00:00:00:00:07" }],
  ["an IPv4 address", { addresses: [NTH(4)] }],
  ["an IPv6 address", { addresses: [NTH(6)] }],
  ["all of these", {
    mac: "02:00:00:00:00:07",
    addresses: [NTH(4), NTH(6)],
  }],
];
for (const [what, spec] of OWN) {
  Deno.test(`a sandbox that asks for ${what} has it, from a namespace made ahead`, async () => {
    const made = blanks(host);
    await using warm = await Pod.create(node, spec);
    const { sandbox } = warm;
    assert(made.includes(sandbox.hostInterface ?? ""));
    if (spec.mac !== undefined) assertEquals(sandbox.mac, spec.mac);
    for (const address of spec.addresses ?? []) {
      assert(sandbox.addresses.includes(address), address);
    }
    assertAnswers(warm);
    await using cold = await Pod.create(host.node);
    assertEquals(likeness(host, warm), likeness(host, cold));
    assertEquals(await node.check(), []);
  });
}

Deno.test("addresses of namespaces made ahead are nobody's: who asks for one has it, and their sandboxes get others", async () => {
  const addresses = promised();
  assertEquals(addresses.length, SIZE * FAMILIES.length);
  assertEquals(new Set(addresses).size, addresses.length);
  await using pods = new AsyncDisposableStack();
  const free = host.node.freeAddresses();
  for (let i = 0; i < addresses.length; i += 2) {
    const spec = { addresses: addresses.slice(i, i + 2) };
    assertAnswers(pods.use(await Pod.create(host.node, spec)));
  }
  assertEquals(
    host.node.freeAddresses(),
    free.map((count) => count - BigInt(SIZE)),
  );
  for (let i = 0; i < SIZE; i++) {
    const made = blanks(host);
    const pod = pods.use(await Pod.create(node));
    assert(made.includes(pod.sandbox.hostInterface ?? ""));
    for (const address of pod.sandbox.addresses) {
      assert(!addresses.includes(address), address);
    }
    assertAnswers(pod);
    await using cold = await Pod.create(host.node);
    assertEquals(likeness(host, pod), likeness(host, cold));
  }
  assertEquals(await node.check(), []);
});

Deno.test("an address that the node itself has by now is given to no sandbox made ahead", async () => {
  const addresses = promised();
  const lo = (verb: string) =>
    addresses.map((address) => `ip addr ${verb} ${address} dev lo;`).join("");
  command(host.namespace, lo("add"));
  try {
    // The kernel makes an IPv6 address usable a moment later.
    const own = () => command(host.namespace, "ip -6 route show table local");
    await until(() =>
      addresses.every((one) => !one.includes(":") || own().includes(one))
    );
    await using pod = await Pod.create(node);
    for (const address of pod.sandbox.addresses) {
      assert(!addresses.includes(address), address);
    }
    assertAnswers(pod);
    assertEquals(await node.check(), []);
  } finally {
    command(host.namespace, lo("del"));
  }
});

/**
 * What a spec asks of a pod's link is what ip(8) then shows, and an address is one pod's.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SandboxError } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { ask, FAMILIES } from "../support/ask.ts";
import { command, ipLinks } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";

let lab: Lab;
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

Deno.test("createSandbox() gives the pod the addresses, MAC, MTU and interface name that the spec asks for", async () => {
  const spec = {
    addresses: ["fd00:10:244:1::77", "10.244.1.77"],
    mac: "02:00:00:00:00:77",
    mtu: 1400,
    interfaceName: "net1",
  };
  await using pod = await Pod.create(node, spec);
  const { sandbox } = pod;
  const addresses = ["10.244.1.77", "fd00:10:244:1::77"];
  assertEquals(sandbox.addresses, addresses);
  assertEquals(sandbox.mac, spec.mac);
  assertEquals(sandbox.mtu, spec.mtu);
  assertEquals(sandbox.interfaceName, spec.interfaceName);

  const [, link, ...others] = ipLinks(pod.namespace);
  assertEquals(others, []);
  assert(link);
  assertEquals(link.ifname, spec.interfaceName);
  assertEquals(link.address, spec.mac);
  assertEquals(link.mtu, spec.mtu);
  assertEquals(link.addr_info.map(({ local }) => local), addresses);
  const [hostLink] = ipLinks(node.namespace, `dev ${sandbox.hostInterface}`);
  assertEquals(hostLink?.mtu, spec.mtu);

  for (const family of FAMILIES) {
    using server = pod.serve("udp", family, 80);
    const to = { address: pod.address(family), port: 80 };
    const answer = ask("udp", node.namespace, to, [server], { size: 3000 });
    assert(typeof answer === "object");
  }
});

Deno.test("createSandbox() gives the pod the requested address of one family and any of the other", async () => {
  await using pod = await Pod.create(node, { addresses: ["10.244.1.78"] });
  const [ipv4, ipv6] = pod.sandbox.addresses;
  assertEquals(ipv4, "10.244.1.78");
  assert(ipv6?.startsWith("fd00:10:244:1:"));
});

for (const address of ["10.244.1.79", "fd00:10:244:1::79"]) {
  Deno.test(`createSandbox() names the owner of ${address} and leaves nothing`, async () => {
    await using owner = await Pod.create(node, { addresses: [address] });
    const before = await snapshot(node);
    const error = await assertRejects(
      () => node.node.createSandbox({ name: "late", addresses: [address] }),
      SandboxError<"AddressInUse">,
    );
    assertEquals(error.code, "AddressInUse");
    assertEquals(error.context, { address, owner: owner.title });
    await assertAsBefore(node, before);

    await owner[Symbol.asyncDispose]();
    await using heir = await Pod.create(node, { addresses: [address] });
    assert(heir.sandbox.addresses.includes(address));
  });
}

Deno.test("createSandbox() takes no address that the node has given to something else", async () => {
  const address = "10.244.1.80";
  command(node.namespace, `ip addr add ${address}/32 dev lo`);
  try {
    const before = await snapshot(node);
    const error = await assertRejects(
      () => node.node.createSandbox({ name: "late", addresses: [address] }),
      SandboxError<"AddressInUse">,
    );
    assertEquals(error.code, "AddressInUse");
    assertEquals(error.context, { address });
    await assertAsBefore(node, before);
  } finally {
    command(node.namespace, `ip addr del ${address}/32 dev lo`);
  }
});

Deno.test("createSandbox() does not give away the address of a sandbox that has lost its link", async () => {
  await using owner = await Pod.create(node);
  const { hostInterface, addresses } = owner.sandbox;
  command(node.namespace, `ip link del ${hostInterface}`);
  for (const address of addresses) {
    const error = await assertRejects(
      () => node.node.createSandbox({ name: "late", addresses: [address] }),
      SandboxError<"AddressInUse">,
    );
    assertEquals(error.context, { address, owner: owner.title });
  }
});

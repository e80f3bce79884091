/**
 * Small pools of addresses, full.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError, openNode, SandboxError } from "../../mod.ts";
import { AddressPool } from "../../src/ipam/pool.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { Pod } from "../support/pods.ts";
import { ask, FAMILIES } from "../support/ask.ts";
import { until } from "../support/patience.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { OtherNode } from "./other_node.ts";

/** With 5 addresses for pods each: without network and gateway, in IPv4 also without broadcast. */
const IPV4 = "10.244.9.0/29";
const IPV6 = "fd00:10:244:9::/125";
const LARGE_IPV4 = "10.244.9.0/24";
const LARGE_IPV6 = "fd00:10:244:9::/64";

interface Case {
  readonly name: string;
  readonly podCidrs: readonly [string, string];
  /** Pods that there is room for. */
  readonly room: number;
  /** The pool that is full first. */
  readonly full: string;
}

const CASES: readonly Case[] = [
  { name: "both", podCidrs: [IPV4, IPV6], room: 5, full: IPV4 },
  { name: "the first", podCidrs: [IPV4, LARGE_IPV6], room: 5, full: IPV4 },
  { name: "the second", podCidrs: [LARGE_IPV4, IPV6], room: 6, full: IPV6 },
];

for (const { name, podCidrs, room, full } of CASES) {
  Deno.test(`IP6 IP4 when ${name} of the pools is full, createSandbox() leaves nothing, until an address returns`, async () => {
    await using host = await OtherNode.create({ podCidrs });
    await using stack = new AsyncDisposableStack();
    const pods: Pod[] = [];
    const sizes = host.node.freeAddresses();
    assertEquals(Math.min(...sizes.map(Number)), room);
    assertEquals(
      sizes,
      podCidrs.map((text) => new AddressPool(Cidr.parse(text)).size),
    );
    for (let i = 0; i < room; i++) {
      pods.push(stack.use(await Pod.create(host, { name: `pod-${i}` })));
    }
    for (const family of FAMILIES) {
      const addresses = pods.map((pod) => pod.address(family));
      assertEquals(new Set(addresses).size, room);
    }

    assertEquals(
      host.node.freeAddresses(),
      sizes.map((size) => size - BigInt(room)),
    );
    const before = await snapshot(host);
    const error = await assertRejects(
      () =>
        host.node.createSandbox({
          name: "late",
          ports: [{ hostPort: 8080, containerPort: 80 }],
        }),
      SandboxError<"AddressPoolExhausted">,
    );
    assertEquals(error.code, "AddressPoolExhausted");
    assertEquals(error.context, { cidr: full, size: room });
    assertEquals(error.undoFailures, []);
    await assertAsBefore(host, before);

    const [leaving] = pods;
    assert(leaving);
    const freed = FAMILIES.map((family) => leaving.address(family));
    await leaving[Symbol.asyncDispose]();
    await using late = await Pod.create(host, { name: "late" });
    for (const [i, family] of FAMILIES.entries()) {
      if (podCidrs[i] === full) assertEquals(late.address(family), freed[i]);
      using server = late.serve("tcp", family, 80);
      const to = { address: late.address(family), port: 80 };
      assert(typeof ask("tcp", host.namespace, to, [server]) === "object");
    }
  });
}

Deno.test("of a full pool no more is made ahead than there are addresses, which are free for all", async () => {
  await using host = await OtherNode.create({ podCidrs: [IPV4, IPV6] });
  const { name, stateDir } = host.node;
  await using stack = new AsyncDisposableStack();
  const node = stack.use(
    await openNode({ name, stateDir, netns: host.namespace, warm: 8 }),
  );
  await until(() => node.warm.problem !== undefined);
  assert(isSandboxError(node.warm.problem, "AddressPoolExhausted"));
  assertEquals(node.warm.ready, 5);
  assertEquals(node.freeAddresses(), [5n, 6n]);
  for (let i = 0; i < 5; i++) {
    // By turns of what was made ahead, and not.
    stack.use(await Pod.create(i % 2 === 0 ? host : node));
  }
  await assertRejects(() => Pod.create(node), SandboxError);
  assertEquals(await node.check(), []);
});

/**
 * Nodes that have no network of their own, until they are given one.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError, openNode, type SandboxSpec } from "../../mod.ts";
import { createLab } from "../../src/testing/mod.ts";
import { BareNode } from "./bare.ts";

Deno.test("a node without pod CIDRs has pods on bridges, and is given some later", async () => {
  await using lab = await createLab();
  const netns = `/proc/${Deno.pid}/fd/${lab.outside.namespace.fd}`;
  const { stateDir } = lab.node;
  const options = { name: "bare", netns, stateDir };
  await using bare = await openNode({ ...options, podCidrs: [] });
  assertEquals(bare.podCidrs, []);
  const routed = () => bare.createSandbox({ name: "routed" });
  const error = await assertRejects(routed);
  assert(isSandboxError(error, "InvalidSpec"), `${error}`);
  assertEquals(error.context.problems.map(({ path }) => path), ["attachment"]);
  const onBridge = await bare.createSandbox({
    name: "bridged",
    attachment: { type: "none" },
    interfaces: [{
      name: "eth0",
      attachment: {
        type: "bridge",
        bridge: "cni0",
        nodeAddresses: ["10.88.0.1/24", "fd88::1/64"],
        masquerade: true,
      },
      addresses: ["10.88.0.7/24", "fd88::7/64"],
    }],
  });
  await using _onHost = await bare.createSandbox({
    name: "host",
    hostNetwork: true,
  });
  assertEquals(await bare.check(), []);
  const podCidrs = ["10.99.0.0/24", "fd99::/64"];
  // All of them ask for the same, one of them first.
  const grown = await Promise.all(
    [1, 2, 3].map(() => openNode({ ...options, podCidrs })),
  );
  const [node] = grown;
  assert(node !== undefined);
  assertEquals(node.podCidrs, podCidrs);
  assertEquals(await node.check(), []);
  await using pod = await node.createSandbox({ name: "routed" });
  assertEquals(pod.addresses.length, 2);
  for (const other of [["10.98.0.0/24"], ["10.99.0.0/24"]]) {
    const conflict = await assertRejects(() =>
      openNode({ ...options, podCidrs: other })
    );
    assert(isSandboxError(conflict, "NodeConflict"), `${conflict}`);
  }
  // Who needs none takes it as it is.
  {
    await using again = await openNode({ ...options, podCidrs: [] });
    assertEquals(again.podCidrs, podCidrs);
    await again.openSandbox(onBridge.id);
    await again.remove({ force: true });
  }
  for (const one of grown) await one[Symbol.asyncDispose]();
});

Deno.test("a pod that has no addresses is as ready for others as for who made it", async () => {
  await using bare = new BareNode();
  await using node = await bare.open({ podCidrs: [] });
  const specs: SandboxSpec[] = [
    { name: "unrouted", attachment: { type: "none" } },
    {
      name: "on-host",
      hostNetwork: true,
      ports: [{ hostPort: 8080, containerPort: 8080 }],
    },
  ];
  for (const spec of specs) {
    const made = await node.createSandbox(spec);
    assertEquals(made.addresses, []);
    await using other = await bare.open({});
    assertEquals(await other.check(), [], spec.name);
    assertEquals(await other.collectGarbage(), [], spec.name);
    const found = await other.openSandbox(spec.name);
    assertEquals(found.createdAt, made.createdAt);
    const again = await other.createSandbox(spec);
    assertEquals(again.createdAt, made.createdAt);
    await made.remove();
  }
  assertEquals(await node.listSandboxes(), []);
});

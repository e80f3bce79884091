/**
 * Pods on the node's own network.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SandboxError } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { ask, FAMILIES, serve, TRANSPORTS } from "../support/ask.ts";
import { command, ipLinks } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { familyOf } from "../support/sockets.ts";

const PORT = 8080;

let lab: Lab;
let node: LabNode;
let owned: AsyncDisposableStack;
/** On the host network of the first node. */
let host: Pod;
/** Ordinary pods, of either node. */
let near: Pod;
let far: Pod;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab({ nodes: 2 }));
  node = nodeAt(lab.nodes, 0);
  host = stack.use(
    await Pod.create(node, { name: "host", hostNetwork: true }),
  );
  near = stack.use(await Pod.create(node, { name: "near" }));
  far = stack.use(await Pod.create(nodeAt(lab.nodes, 1), { name: "far" }));
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** What the kernel has, without what is on disk. */
function kernelState(): string[] {
  return [
    command(node.namespace, "ip -o link"),
    command(node.namespace, "ip -o addr"),
    command(node.namespace, "ip route show table all"),
    command(node.namespace, "ip -6 route show table all"),
    command(node.namespace, "nft list ruleset"),
  ];
}

Deno.test("H1 a pod on the host network is in the node's namespace, with the node's addresses and no link of its own", async () => {
  const { sandbox, namespace } = host;
  assertEquals(namespace.id, node.namespace.id);
  assertEquals(namespace.id, node.node.netnsId);
  assertEquals(sandbox.hostNetwork, true);
  assertEquals(sandbox.addresses, node.addresses);
  assertEquals(sandbox.hostInterface, undefined);
  assertEquals(sandbox.mac, undefined);
  assertEquals(sandbox.routes, []);

  const before = await snapshot(node);
  const kernel = kernelState();
  const second = await Pod.create(node, { name: "more", hostNetwork: true });
  assertEquals(kernelState(), kernel);
  await second[Symbol.asyncDispose]();
  await assertAsBefore(node, before);
});

Deno.test("H1 removing a pod on the host network leaves the node's namespace", async () => {
  const before = ipLinks(node.namespace);
  const pod = await Pod.create(node, { hostNetwork: true });
  await pod.sandbox.remove({ force: true });
  assertEquals(ipLinks(node.namespace), before);
  await pod[Symbol.asyncDispose]();
});

Deno.test("H2 a pod on the host network reaches every pod, untranslated, and they reach it", () => {
  for (const family of FAMILIES) {
    for (const transport of TRANSPORTS) {
      for (const pod of [near, far]) {
        using server = pod.serve(transport, family, 80);
        const to = { address: pod.address(family), port: 80 };
        const answer = ask(transport, host.namespace, to, [server]);
        assert(typeof answer === "object", `${transport} to ${pod.name}`);
        const addresses = [...node.addresses, ...node.node.gateways];
        assert(addresses.includes(answer.client), answer.client);

        using own = host.serve(transport, family, PORT);
        const back = { address: host.address(family), port: PORT };
        const reply = ask(transport, pod.namespace, back, [own]);
        assert(typeof reply === "object", `${transport} from ${pod.name}`);
        assertEquals(reply.client, pod.address(family));
      }
    }
  }
});

Deno.test("H3 a second pod on the host network cannot bind the port of the first", async () => {
  await using first = await node.node.openSandbox("host");
  await using second = await node.node.createSandbox({
    name: "second",
    hostNetwork: true,
  });
  using _listener = first.listen({ port: PORT });
  assertThrows(() => second.listen({ port: PORT }), Deno.errors.AddrInUse);
  // Ports of an ordinary pod are its own.
  await using pod = await node.node.openSandbox("near");
  pod.listen({ port: PORT }).close();
  await second.remove();
});

Deno.test("H4 a host port of a pod on the host network equals its container port, and nothing is translated", async () => {
  const error = await assertRejects(
    () =>
      node.node.createSandbox({
        name: "mapped",
        hostNetwork: true,
        ports: [{ hostPort: PORT, containerPort: 80 }],
      }),
    SandboxError<"InvalidSpec">,
  );
  assertEquals(error.code, "InvalidSpec");
  assertEquals(
    error.context.problems.map(({ path }) => path),
    ["ports[0].containerPort"],
  );

  const kernel = kernelState();
  await using pod = await Pod.create(node, {
    hostNetwork: true,
    ports: [{ hostPort: PORT, containerPort: PORT }],
  });
  // Claimed, in a set that no rule reads.
  const claims = new RegExp(
    `,?\\s*elements = \\{ tcp . ${PORT} comment [^}]*\\}`,
    "g",
  );
  assertEquals(
    kernelState().map((text) => text.replace(claims, "")),
    kernel,
  );
  assertEquals(pod.sandbox.ports.length, 1);
  for (const family of FAMILIES) {
    const to = { address: nodeAddress(family), port: PORT };
    using server = serve("pod", pod.namespace, { transport: "tcp", ...to });
    const answer = ask("tcp", lab.outside.namespace, to, [server]);
    assert(typeof answer === "object");
    assert(lab.outside.addresses.includes(answer.client));
    assertEquals(familyOf(answer.client), family);
  }
});

Deno.test("H4 a pod on the host network is refused a port that leads to another pod", async () => {
  const port = { hostPort: PORT, containerPort: PORT };
  await using owner = await Pod.create(node, { ports: [port] });
  const before = await snapshot(node);
  const error = await assertRejects(
    () =>
      node.node.createSandbox({
        name: "late",
        hostNetwork: true,
        ports: [port],
      }),
    SandboxError<"HostPortInUse">,
  );
  assertEquals(error.code, "HostPortInUse");
  assertEquals(error.context.owner, owner.title);
  await assertAsBefore(node, before);
});

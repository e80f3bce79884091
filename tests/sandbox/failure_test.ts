/**
 * A creation that fails half-way leaves the node as it was, whatever had been done.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import {
  SandboxError,
  type SandboxErrorContexts,
  type SandboxSpec,
} from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { ask, serve } from "../support/ask.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";

const TAKEN = { hostPort: 8080, containerPort: 80 };
const FREE = { hostPort: 8081, containerPort: 81 };
const TAKEN_ADDRESS = "fd00:10:244:1::9";
/** A socket of the node listens there. */
const LISTENED = { hostPort: 7000, containerPort: 80 };

let lab: Lab;
let node: LabNode;
/** A pod that nothing may happen to. */
let owner: Pod;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  owner = stack.use(
    await Pod.create(node, {
      name: "owner",
      ports: [TAKEN],
      addresses: [TAKEN_ADDRESS],
    }),
  );
  stack.use(
    serve("node", node.namespace, {
      transport: "tcp",
      address: nodeAddress(4),
      port: LISTENED.hostPort,
    }),
  );
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

interface Case<C extends keyof SandboxErrorContexts> {
  readonly name: string;
  readonly spec: Omit<SandboxSpec, "name">;
  readonly code: C;
  readonly context: () => SandboxErrorContexts[C];
}

function failing<C extends keyof SandboxErrorContexts>(
  { name, spec, code, context }: Case<C>,
): void {
  Deno.test(`createSandbox() leaves nothing after ${name}`, async () => {
    const before = await snapshot(node);
    const error = await assertRejects(
      () => node.node.createSandbox({ name: "failing", ...spec }),
      SandboxError<C>,
    );
    assertEquals(error.code, code);
    assertEquals(error.context, context());
    assertEquals(error.undoFailures, []);
    await assertAsBefore(node, before);
    assertEquals(await node.node.check(), []);
    assertEquals(await node.node.collectGarbage(), []);

    using server = owner.serve("tcp", 4, TAKEN.containerPort);
    const to = { address: nodeAddress(4), port: TAKEN.hostPort };
    const answer = ask("tcp", lab.outside.namespace, to, [server]);
    assertEquals(typeof answer, "object");

    // The name is not spoilt.
    await using pod = await Pod.create(node, { name: "failing" });
    assertEquals(pod.sandbox.ports, []);
  });
}

failing({
  name: "a host port turned out to be taken by a pod",
  spec: { ports: [FREE, TAKEN] },
  code: "HostPortInUse",
  context: () => ({
    protocol: "tcp",
    hostIP: "0.0.0.0",
    hostPort: TAKEN.hostPort,
    owner: owner.title,
  }),
});

failing({
  name: "a host port turned out to be taken by a socket of the node",
  spec: { ports: [FREE, LISTENED] },
  code: "HostPortInUse",
  context: () => ({
    protocol: "tcp",
    hostIP: "0.0.0.0",
    hostPort: LISTENED.hostPort,
    owner: `a socket of the node on ${nodeAddress(4)}:${LISTENED.hostPort}`,
  }),
});

failing({
  name: "a host IP turned out not to be the node's",
  spec: { ports: [FREE, { ...FREE, hostPort: 9, hostIP: "192.0.2.1" }] },
  code: "HostAddressUnknown",
  context: () => ({ hostIP: "192.0.2.1" }),
});

failing({
  name: "the kernel refused the value of a sysctl",
  spec: {
    ports: [FREE],
    sysctls: {
      "net.ipv4.tcp_fin_timeout": "11",
      "net.ipv4.ip_local_port_range": "30000 20000",
    },
  },
  code: "InvalidSpec",
  context: () => ({
    problems: [{
      path: 'sysctls["net.ipv4.ip_local_port_range"]',
      message: "the kernel does not accept this value",
      received: "30000 20000",
    }],
  }),
});

failing({
  name: "this kernel turned out not to have a sysctl",
  spec: {
    ports: [FREE],
    sysctls: { "net.ipv4.nowhere": "1" },
    unsafeSysctls: ["net.ipv4.nowhere"],
  },
  code: "InvalidSpec",
  context: () => ({
    problems: [{
      path: 'sysctls["net.ipv4.nowhere"]',
      message: "this kernel has no such parameter in a network namespace",
      received: "net.ipv4.nowhere",
    }],
  }),
});

failing({
  name: "the second of two requested addresses turned out to be taken",
  spec: { ports: [FREE], addresses: ["10.244.1.10", TAKEN_ADDRESS] },
  code: "AddressInUse",
  context: () => ({ address: TAKEN_ADDRESS, owner: owner.title }),
});

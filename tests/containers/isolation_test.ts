import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../examples/tiny_runtime.ts";
import type { LabHost } from "../../src/testing/mod.ts";
import {
  exchange,
  idle,
  output,
  type Pods,
  serve,
  testContainers,
  withRootfs,
} from "./pods.ts";

withRootfs();

const LOOPBACKS = ["127.0.0.1", "::1"];

/** From where to which address and port. */
type Way = readonly [from: LabHost, hostname: string, port: number];

/** Ways from outside a pod to one of its ports: straight, and by a host port. */
function waysInto(
  { lab, machine }: Pods,
  { sandbox }: Pod,
  port: number,
  hostPort: number,
): Way[] {
  const ofNode = [...machine.addresses, "127.0.0.1", "::1"];
  return [
    ...sandbox.addresses.map((host): Way => [machine, host, port]),
    ...ofNode.map((host): Way => [machine, host, hostPort]),
    ...machine.addresses.map((host): Way => [lab.outside, host, hostPort]),
  ];
}

/** Those of the ways that lead to a listener, for people. */
async function leading(ways: readonly Way[]): Promise<string[]> {
  const found: string[] = [];
  for (const [from, hostname, port] of ways) {
    try {
      using _connection = await from.connect({ hostname, port });
      found.push(`${from.name} to ${hostname} ${port}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    }
  }
  return found;
}

testContainers(
  "P6 a listener on localhost is the pod's alone",
  async (pods) => {
    const pod = await pods.create("web", {
      ports: [
        { hostPort: 8080, containerPort: 80 },
        { hostPort: 8090, containerPort: 90 },
      ],
    });
    // More connections than socat's own backlog holds come at once.
    await serve(pod, "open", "TCP6-LISTEN:80,backlog=64");
    await serve(pod, "hidden4", "TCP4-LISTEN:90,bind=127.0.0.1");
    await serve(pod, "hidden6", "TCP6-LISTEN:90,bind=[::1],ipv6-v6only");
    const sidecar = await idle(pod, "sidecar");
    const other = await idle(await pods.create("other"), "app");

    // Every way is open, so where it ends is the listener's doing.
    const open = waysInto(pods, pod, 80, 8080);
    assertEquals((await leading(open)).length, open.length);
    for (const host of pod.sandbox.addresses) {
      assertEquals(await exchange(other, "tcp", host, 80, "hello"), "hello");
    }

    const hidden = waysInto(pods, pod, 90, 8090);
    const nodesOwn = LOOPBACKS.map((host): Way => [pods.machine, host, 90]);
    assertEquals(await leading([...hidden, ...nodesOwn]), []);
    for (const host of [...pod.sandbox.addresses, ...LOOPBACKS]) {
      const answer = await exchange(other, "tcp", host, 90, "hello");
      assertStringIncludes(answer, "Connection refused");
    }
    for (const host of LOOPBACKS) {
      assertEquals(await exchange(sidecar, "tcp", host, 90, "hello"), "hello");
    }
  },
);

testContainers(
  "H1 H2 a container on the host network is in the node's namespace, and reaches pods",
  async (pods) => {
    const pod = await pods.create("web");
    await serve(pod, "app", "TCP6-LISTEN:80");
    const agent = await pods.create("agent", { hostNetwork: true });
    const container = await idle(agent, "app");
    assertEquals(
      await output(container, "readlink", "/proc/self/ns/net"),
      pods.machine.namespace.id,
    );
    for (const host of pod.sandbox.addresses) {
      assertEquals(
        await exchange(container, "tcp", host, 80, "hello"),
        "hello",
      );
    }
  },
);

testContainers(
  "a container inherits no descriptor of the program that starts it",
  async (pods) => {
    const pod = await pods.create("web");
    using _listener = pod.sandbox.listen({ port: 80 });
    const container = await idle(pod, "app");
    const list = "for f in /proc/[1-9]*/fd/*; do readlink $f || true; done";
    const open = await output(container, "bash", "-c", list);
    // Pipes of the log and of this very question, and what bash reads.
    const others = open.split("\n").filter((target) =>
      !/^(pipe:\[\d+\]|\/dev\/null|\/proc\/\d+\/fd)$/.test(target)
    );
    assertEquals(others, []);
  },
);

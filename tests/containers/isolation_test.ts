import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../examples/tiny_runtime.ts";
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

/** Whether a connection from each place reaches the pod's port behind the host port. */
async function reachedFrom(
  pods: Pods,
  pod: Pod,
  { port, hostPort }: { port: number; hostPort: number },
): Promise<string[]> {
  const { lab, machine } = pods;
  const inside = pod.sandbox.addresses;
  const places = {
    "node to pod": [machine, inside, port],
    "node to its host port": [machine, [
      ...machine.addresses,
      "127.0.0.1",
      "::1",
    ], hostPort],
    "node to its localhost": [machine, ["127.0.0.1", "::1"], port],
    "outside to host port": [lab.outside, machine.addresses, hostPort],
  } as const;
  const reached: string[] = [];
  for (const [place, [host, addresses, at]] of Object.entries(places)) {
    for (const hostname of addresses) {
      try {
        using _connection = await host.connect({ hostname, port: at });
        reached.push(`${place}, ${hostname.includes(":") ? "v6" : "v4"}`);
      } catch (error) {
        if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      }
    }
  }
  return [...new Set(reached)].sort();
}

testContainers(
  "P6 a listener on localhost is the pod's alone",
  async (pods) => {
    const ports = [80, 90].map((containerPort) => ({
      hostPort: 8000 + containerPort,
      containerPort,
    }));
    const pod = await pods.create("web", { ports });
    await serve(pod, "open", "TCP6-LISTEN:80");
    await serve(pod, "v4", "TCP4-LISTEN:90,bind=127.0.0.1");
    await serve(pod, "v6", "TCP6-LISTEN:90,bind=[::1],ipv6-v6only");
    const sidecar = await idle(pod, "sidecar");
    const other = await idle(await pods.create("other"), "app");

    // The way is open, and what follows is the listener's doing.
    const open = { port: 80, hostPort: 8080 };
    const hidden = { port: 90, hostPort: 8090 };
    assertEquals(await reachedFrom(pods, pod, open), [
      "node to its host port, v4",
      "node to its host port, v6",
      "node to pod, v4",
      "node to pod, v6",
      "outside to host port, v4",
      "outside to host port, v6",
    ]);
    for (const address of pod.sandbox.addresses) {
      assertEquals(await exchange(other, "tcp", address, 80, "hello"), "hello");
    }
    assertEquals(await reachedFrom(pods, pod, hidden), []);
    for (const address of [...pod.sandbox.addresses, "127.0.0.1", "::1"]) {
      const answer = await exchange(other, "tcp", address, 90, "hello");
      assertStringIncludes(answer, "Connection refused");
    }
    for (const address of ["127.0.0.1", "::1"]) {
      assertEquals(
        await exchange(sidecar, "tcp", address, 90, "hello"),
        "hello",
      );
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
    for (const address of pod.sandbox.addresses) {
      assertEquals(
        await exchange(container, "tcp", address, 80, "hello"),
        "hello",
      );
    }
  },
);

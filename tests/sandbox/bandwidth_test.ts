/**
 * BW1: limits of a pod's bandwidth, counted in bytes that arrive.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Bandwidth, isSandboxError } from "../../mod.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { nodeAddress, nodeAt, outsideAddress, Pod } from "../support/pods.ts";
import { TestSocket } from "../support/sockets.ts";
import { PATIENCE_MS } from "../support/patience.ts";

/** So slow that the machine is never what limits it: its bucket and queue hold a quarter of a second. */
const RATE = 1_000_000;
const SIZE = 1000;
const PORT = 9000;
/** Headers of Ethernet, IPv4 and UDP. */
const FRAME = SIZE + 14 + 20 + 8;
const PORTS = [
  { hostPort: PORT, containerPort: PORT, protocol: "udp" },
] as const;

interface LinkStatistics {
  readonly ifname: string;
  readonly stats64: { readonly rx: { readonly bytes: number } };
}

/** What a machine has received but for itself, and when it was asked. */
function received(
  namespace: NetworkNamespace,
): { bytes: number; ms: number } {
  const before = performance.now();
  const links: LinkStatistics[] = JSON.parse(
    command(namespace, "ip -s -j link show"),
  );
  return {
    bytes: links.filter(({ ifname }) => ifname !== "lo")
      .reduce((sum, { stats64: { rx } }) => sum + rx.bytes, 0),
    ms: (before + performance.now()) / 2,
  };
}

/** Somebody who sends, and somebody who receives. */
interface Way {
  readonly socket: TestSocket;
  readonly receiver: NetworkNamespace;
}

/** Into the pod, and out of it. */
function ways(
  lab: Awaited<ReturnType<typeof createLab>>,
  pod: Pod,
  stack: DisposableStack,
): { into: Way; outOf: Way } {
  const open = (from: NetworkNamespace, address: string) => {
    const socket = stack.use(
      TestSocket.open(from, { kind: "udp", family: 4 }),
    );
    socket.connect({ address, port: PORT });
    return socket;
  };
  // Somebody takes it, so that nobody is told that nobody does.
  for (const namespace of [pod.namespace, lab.outside.namespace]) {
    stack.use(
      TestSocket.open(namespace, {
        kind: "udp",
        family: 4,
        local: { address: "0.0.0.0", port: PORT },
      }),
    );
  }
  return {
    into: {
      socket: open(lab.outside.namespace, nodeAddress(4)),
      receiver: pod.namespace,
    },
    outOf: {
      socket: open(pod.namespace, outsideAddress(4)),
      receiver: lab.outside.namespace,
    },
  };
}

/** Sends four times as much as may pass. */
function sendFor({ socket }: Way, ms: number): void {
  const data = new Uint8Array(SIZE);
  const asleep = new Int32Array(new SharedArrayBuffer(4));
  for (const end = performance.now() + ms; performance.now() < end;) {
    for (let i = 0; i < 2; i++) socket.send(data);
    Atomics.wait(asleep, 0, 0, 3);
  }
}

/** Bits a second that arrive while more is sent than may pass, once the bucket is empty. */
function rateOf(way: Way): number {
  sendFor(way, 500);
  const start = received(way.receiver);
  sendFor(way, 1000);
  const end = received(way.receiver);
  return (end.bytes - start.bytes) * 8 * 1000 / (end.ms - start.ms);
}

/** The machine may have done something else all the time: one measurement that holds is enough. */
function assertRate(way: Way, rate: number): void {
  const deadline = performance.now() + PATIENCE_MS;
  const rates: number[] = [];
  for (;;) {
    const found = rateOf(way);
    if (Math.abs(found - rate) <= rate / 10) return;
    rates.push(Math.round(found));
    if (performance.now() > deadline) break;
  }
  throw new Error(`not ${rate} but ${rates} bits a second`);
}

/** What arrives of a lot that is sent at once, and how long that takes at most. */
function sendLot(way: Way): { share: number; bits: number; seconds: number } {
  const count = 1000;
  const data = new Uint8Array(SIZE);
  const begin = performance.now();
  const start = received(way.receiver);
  for (let i = 0; i < count; i++) way.socket.send(data);
  const bytes = received(way.receiver).bytes - start.bytes;
  return {
    share: bytes / (count * FRAME),
    bits: bytes * 8,
    seconds: (performance.now() - begin) / 1000,
  };
}

/** Asserts that a lot passes at once, save what the kernel loses when it is kept from its work. */
function assertFree(way: Way): void {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { share } = sendLot(way);
    if (share > 0.9) return;
    assert(performance.now() < deadline, `of a lot ${share} arrives`);
  }
}

/** Asserts that of a lot no more passes than may, and fits into bucket and queue. */
function assertLimited(way: Way, rate: number): void {
  const { bits, seconds } = sendLot(way);
  assert(bits < 1.1 * rate * seconds + rate / 2, `${bits} in ${seconds} s`);
}

function links({ namespace }: LabNode): string[] {
  return command(namespace, "ip -o link show").split("\n")
    .map((line) => line.split(/[:@] ?/)[1]?.trim() ?? "")
    .filter((name) => name.startsWith("pb-"));
}

Deno.test("BW1 each limit holds in its direction within a tenth, and lifting it restores full speed", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  using stack = new DisposableStack();
  await using pod = await Pod.create(host, {
    ports: PORTS,
    bandwidth: { ingress: RATE },
  });
  const { into, outOf } = ways(lab, pod, stack);
  assertRate(into, RATE);
  assertFree(outOf);
  await pod.sandbox.setBandwidth({ egress: RATE });
  assertEquals(pod.sandbox.bandwidth, { egress: RATE });
  assertRate(outOf, RATE);
  assertFree(into);
  await pod.sandbox.setBandwidth({ ingress: RATE / 2, egress: 2 * RATE });
  assertRate(outOf, 2 * RATE);
  assertRate(into, RATE / 2);
  assertLimited(into, RATE / 2);
  assertLimited(outOf, 2 * RATE);
  assertEquals(await host.node.check(), []);
  await pod.sandbox.setBandwidth({});
  assertEquals(pod.sandbox.toJSON().bandwidth, undefined);
  assertFree(into);
  assertFree(outOf);
  assertEquals(links(host), []);
  assertEquals(await host.node.check(), []);
});

Deno.test("a burst passes at once", async () => {
  await using lab = await createLab();
  using stack = new DisposableStack();
  await using pod = await Pod.create(nodeAt(lab.nodes, 0), {
    ports: PORTS,
    bandwidth: {
      ingress: RATE,
      ingressBurst: 8 * 2000 * FRAME,
      egress: RATE,
      egressBurst: 8 * 2000 * FRAME,
    },
  });
  const { into, outOf } = ways(lab, pod, stack);
  assertFree(into);
  assertFree(outOf);
});

const BOTH: Bandwidth = { ingress: RATE, egress: RATE };

Deno.test("remove() takes the shaper away, with the namespace of somebody else's and a failed creation, too", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const before = await snapshot(host);
  const spec = { name: "a", bandwidth: BOTH, ports: PORTS };
  const sandbox = await host.node.createSandbox(spec);
  assertEquals(links(host).length, 1);
  assertEquals((await host.node.createSandbox(spec)).id, sandbox.id);
  assertEquals(links(host).length, 1);
  const error = await assertRejects(() =>
    host.node.createSandbox({ ...spec, name: "b" })
  );
  assert(isSandboxError(error, "HostPortInUse"), `${error}`);
  assertEquals(links(host).length, 1);
  await sandbox.remove();
  await assertAsBefore(host, before);
});

Deno.test("repair() and a watch limit again what somebody has set free", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  using stack = new DisposableStack();
  await using pod = await Pod.create(host, { bandwidth: BOTH, ports: PORTS });
  const { into, outOf } = ways(lab, pod, stack);
  const { hostInterface = "" } = pod.sandbox;
  const shaper = hostInterface.replace("pn-", "pb-");
  const damages: readonly (readonly [string, string])[] = [
    [`tc qdisc del dev ${hostInterface} root`, "bandwidth into the pod"],
    [
      `tc qdisc change dev ${hostInterface} root tbf rate 9mbit burst 32k latency 50ms`,
      "bandwidth into the pod",
    ],
    [`tc qdisc del dev ${hostInterface} ingress`, "bandwidth out of the pod"],
    [
      `tc filter del dev ${hostInterface} ingress`,
      "bandwidth out of the pod",
    ],
    [`tc qdisc del dev ${shaper} root`, "bandwidth out of the pod"],
    [`ip link set ${shaper} down`, "bandwidth out of the pod"],
    [`ip link set ${shaper} alias mine`, "bandwidth out of the pod"],
    [`ip link del ${shaper}`, "bandwidth out of the pod"],
  ];
  for (const [damage, object] of damages) {
    command(host.namespace, damage);
    const found = await host.node.check();
    assertEquals(found.map((f) => f.object), [object], damage);
    if (damage.includes("alias")) {
      // It is somebody's now, who has to give the name back.
      command(host.namespace, `ip link del ${shaper}`);
    }
    const { remaining } = await host.node.repair();
    assertEquals(remaining, [], damage);
    assertEquals(await host.node.check(), [], damage);
  }
  const watched = damages.filter(([damage]) => !damage.includes("alias"));
  let next = 0;
  for await (const event of host.node.watch({ repair: true })) {
    if (event.type === "repaired") {
      assertEquals(event.finding.object, watched[next - 1]?.[1]);
    } else if (event.type !== "ready") continue;
    const damage = watched[next++];
    if (damage === undefined) break;
    command(host.namespace, damage[0]);
  }
  assertLimited(into, RATE);
  assertLimited(outOf, RATE);
});

Deno.test("a sandbox that gets a new link keeps its limits", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  using stack = new DisposableStack();
  await using pod = await Pod.create(host, { bandwidth: BOTH, ports: PORTS });
  command(host.namespace, `ip link del ${pod.sandbox.hostInterface}`);
  assertEquals((await host.node.repair()).remaining, []);
  assertEquals(links(host).length, 1);
  assertEquals(await host.node.check(), []);
  const { into, outOf } = ways(lab, pod, stack);
  assertLimited(into, RATE);
  assertLimited(outOf, RATE);
});

Deno.test("collectGarbage() finds a shaper from either side", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const before = await snapshot(host);
  const make = async (name: string) => {
    await using sandbox = await host.node.createSandbox({
      name,
      bandwidth: BOTH,
    });
    return sandbox.netnsPath;
  };
  // Its namespace is gone; and nothing is left that tells of it.
  command(host.namespace, `umount -l ${await make("dead")}`);
  const lost = await make("lost");
  command(
    host.namespace,
    `umount -l ${lost}; rm -r ${lost.replace(/\/netns$/, "")}`,
  );
  assertEquals(links(host).length, 2);
  const garbage = await host.node.collectGarbage();
  assertEquals(garbage.every(({ removed }) => removed), true);
  assertEquals(links(host), []);
  await assertAsBefore(host, before);
});

Deno.test("a shaper that the sandbox does not need any more is taken away", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(host);
  const { hostInterface = "", id } = pod.sandbox;
  const shaper = hostInterface.replace("pn-", "pb-");
  command(
    host.namespace,
    `ip link add ${shaper} type ifb
     ip link set ${shaper} alias podnet-egress:${host.node.name}/${id}`,
  );
  assertEquals((await host.node.repair()).remaining, []);
  assertEquals(links(host), []);
  command(
    host.namespace,
    `tc qdisc add dev ${hostInterface} root tbf rate 9mbit burst 32k latency 50ms`,
  );
  assertEquals((await host.node.check()).map((f) => f.problem), ["is limited"]);
  assertEquals((await host.node.repair()).remaining, []);
  assertEquals(await host.node.check(), []);
});

Deno.test("setBandwidth() refuses what cannot be, and leaves all as it is", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(host, { bandwidth: BOTH });
  await using onHost = await Pod.create(host, { hostNetwork: true });
  for (
    const [sandbox, limits, path] of [
      [pod.sandbox, { ingress: 10 }, "bandwidth.ingress"],
      [pod.sandbox, { egressBurst: 8000 }, "bandwidth.egressBurst"],
      [onHost.sandbox, BOTH, "bandwidth"],
    ] as const
  ) {
    const error = await assertRejects(() => sandbox.setBandwidth(limits));
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
    assertEquals(error.context.problems.map((p) => p.path), [path]);
  }
  await onHost.sandbox.setBandwidth({});
  assertEquals(pod.sandbox.bandwidth, BOTH);
  assertEquals(await host.node.check(), []);
});

/**
 * Two sandboxes in one namespace: the second has another interface there, and leaves the default routes to the first.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError } from "../../mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab } from "../../src/testing/mod.ts";
import { ask, FAMILIES, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";

const RULES =
  "ip rule list; ip -6 rule list; ip route show table all; ip -6 route show table all";

/** A lab with a namespace of somebody else's in which there is a sandbox. */
async function scene(stack: AsyncDisposableStack) {
  const lab = stack.use(await createLab());
  const host = nodeAt(lab.nodes, 0);
  const foreign = stack.use(NetworkNamespace.create());
  const netns = `/proc/${Deno.pid}/fd/${foreign.fd}`;
  const first = stack.use(
    await Pod.create(host, { name: "first", netns, ports: ports(8080) }),
  );
  return { lab, host, foreign, netns, first };
}

function ports(hostPort: number) {
  return TRANSPORTS.map((protocol) => ({
    protocol,
    hostPort,
    containerPort: 80,
  }));
}

const SECOND = {
  name: "second",
  interfaceName: "net1",
  defaultRoute: false,
  routes: [{ destination: "198.51.100.0/24" }, { destination: "fd99::/64" }],
} as const;

function assertAnswers(
  { lab }: { lab: Awaited<ReturnType<typeof createLab>> },
  pod: Pod,
  port: number,
): void {
  for (const family of FAMILIES) {
    for (const transport of TRANSPORTS) {
      using server = pod.serve(transport, family, 80);
      const outcome = ask(
        transport,
        lab.outside.namespace,
        { address: nodeAddress(family), port },
        [server],
      );
      assert(
        typeof outcome === "object",
        `${pod.name} ${transport} ${outcome}`,
      );
    }
  }
}

Deno.test("createSandbox() without a default route adds an interface that answers by itself", async () => {
  await using stack = new AsyncDisposableStack();
  const { lab, host, foreign, netns, first } = await scene(stack);
  const before = command(foreign, RULES);
  const second = await Pod.create(host, {
    ...SECOND,
    netns,
    ports: ports(8081),
  });
  using _ns = second.namespace;
  assertEquals(await host.node.check(), []);
  assertAnswers({ lab }, first, 8080);
  assertAnswers({ lab }, second, 8081);
  for (const [to, device] of [["198.51.100.7", "net1"], ["1.2.3.4", "eth0"]]) {
    const way = command(foreign, `ip route get ${to}`);
    assert(way.includes(`dev ${device}`), way);
  }
  assertEquals(second.sandbox.routes, [
    { destination: "198.51.100.0/24", gateway: "10.244.1.1" },
    { destination: "fd99::/64", gateway: "fd00:10:244:1::1" },
  ]);
  assertEquals(
    (await host.node.createSandbox({
      ...SECOND,
      netns,
      ports: ports(8081),
    })).id,
    second.sandbox.id,
  );
  await second.sandbox.remove();
  assertEquals(command(foreign, RULES), before);
  assertAnswers({ lab }, first, 8080);
  assertEquals(await host.node.check(), []);
});

Deno.test("a pod of its own without a default route answers all the same", async () => {
  await using lab = await createLab();
  await using pod = await Pod.create(nodeAt(lab.nodes, 0), {
    defaultRoute: false,
    ports: ports(8080),
  });
  assertAnswers({ lab }, pod, 8080);
  for (const family of FAMILIES) {
    const out = command(pod.namespace, `ip -${family} route show default`);
    assertEquals(out, "");
  }
  assertEquals(await lab.node.check(), []);
});

Deno.test("createSandbox() that fails beside another takes its rules back", async () => {
  await using stack = new AsyncDisposableStack();
  const { host, foreign, netns } = await scene(stack);
  const before = command(foreign, RULES);
  const error = await assertRejects(() =>
    host.node.createSandbox({ ...SECOND, netns, ports: ports(8080) })
  );
  assert(isSandboxError(error, "HostPortInUse"), `${error}`);
  assertEquals(command(foreign, RULES), before);
});

Deno.test("createSandbox() refuses a route that the namespace has already", async () => {
  await using stack = new AsyncDisposableStack();
  const { host, foreign, netns } = await scene(stack);
  command(foreign, "ip route add 198.51.100.0/24 dev eth0");
  const error = await assertRejects(() =>
    host.node.createSandbox({ ...SECOND, netns })
  );
  assert(isSandboxError(error, "InvalidNamespace"), `${error}`);
  assert(error.message.includes("198.51.100.0/24"), error.message);
});

Deno.test("repair() and a watch put back rules and routes of a second interface", async () => {
  await using stack = new AsyncDisposableStack();
  const { lab, host, foreign, netns } = await scene(stack);
  await using second = await Pod.create(host, {
    ...SECOND,
    netns,
    ports: ports(8081),
  });
  const whole = command(foreign, RULES);
  const address = second.address(4);
  const damages: readonly (readonly [string, string])[] = [
    [`ip rule del from ${address}`, `pod's rule for what is from ${address}`],
    [
      "ip -6 route del fd99::/64",
      "pod's route to fd99::/64 via fd00:10:244:1::1",
    ],
    [
      `ip route flush table $(ip rule show from ${address} | sed 's/.*lookup //;s/ .*//')`,
      "pod's default route via 10.244.1.1",
    ],
  ];
  for (const [damage, object] of damages) {
    command(foreign, damage);
    const found = await host.node.check();
    assertEquals(found.map((f) => f.object), [object]);
    const { remaining } = await host.node.repair();
    assertEquals(remaining, []);
    assertEquals(command(foreign, RULES), whole, damage);
  }
  const watch = host.node.watch({ repair: true });
  let next = 0;
  for await (const event of watch) {
    if (event.type === "repaired") {
      assertEquals(event.finding.object, damages[next - 1]?.[1]);
    } else if (event.type !== "ready") continue;
    const damage = damages[next++];
    if (damage === undefined) break;
    command(foreign, damage[0]);
  }
  assertAnswers({ lab }, second, 8081);
});

Deno.test("a second interface whose link is deleted gets a new one", async () => {
  await using stack = new AsyncDisposableStack();
  const { lab, host, foreign, netns } = await scene(stack);
  await using second = await Pod.create(host, {
    ...SECOND,
    netns,
    ports: ports(8081),
  });
  command(foreign, "ip link del net1");
  const { mended, remaining } = await host.node.repair();
  assertEquals(remaining, []);
  assert(mended.length > 0);
  assertEquals(await host.node.check(), []);
  assertAnswers({ lab }, second, 8081);
  const rules = command(foreign, "ip rule list | grep -c 1120:").trim();
  assertEquals(rules, "1");
});

/**
 * Pods without an interface on the node's own network.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError, type SandboxSpec } from "../../mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab } from "../../src/testing/mod.ts";
import { FAMILIES, seen } from "../support/ask.ts";
import { bridgeAddress, port, portAddress } from "../support/bridged.ts";
import { command } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";

const NONE = { attachment: { type: "none" } } as const;

/** A pod whose only interface is `eth0` on a bridge. */
function onBridge(number: number): Partial<SandboxSpec> {
  return {
    ...NONE,
    interfaces: [{
      ...port(number, { masquerade: true }),
      name: "eth0",
      defaultRoute: true,
    }],
  };
}

Deno.test("a pod can have its interfaces from a bridge alone", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const before = await snapshot(host);
  await using pod = await Pod.create(host, {
    ...onBridge(11),
    sysctls: { "net.ipv4.ip_default_ttl": "61" },
    unsafeSysctls: ["net.ipv4.ip_default_ttl"],
  });
  await using other = await Pod.create(host, onBridge(12));
  await using routed = await Pod.create(host);
  for (const family of FAMILIES) {
    const [from, to] = [portAddress(11)(family), portAddress(12)(family)];
    assertEquals(seen(pod.namespace, other.namespace, to), [from, from]);
    const gateway = bridgeAddress(family);
    assertEquals(seen(pod.namespace, host.namespace, gateway), [from, from]);
    const address = routed.address(family);
    assertEquals(seen(pod.namespace, routed.namespace, address), [from, from]);
    assertEquals(
      seen(
        pod.namespace,
        lab.outside.namespace,
        family === 4 ? "192.168.50.254" : "fd50::fe",
      ),
      [nodeAddress(family), nodeAddress(family)],
    );
  }
  const { sandbox } = pod;
  assertEquals(
    [sandbox.addresses, sandbox.mac, sandbox.hostInterface, sandbox.routes],
    [[], undefined, undefined, []],
  );
  const hosts = Deno.readTextFileSync(sandbox.dns.hostsPath);
  assert(hosts.includes("10.88.0.11\t"), hosts);
  assertEquals(await host.node.check(), []);
  assertEquals(await host.node.collectGarbage(), []);
  // As it was asked for.
  const again = await host.node.createSandbox({
    ...onBridge(12),
    name: other.name,
  });
  assertEquals(again.createdAt, other.sandbox.createdAt);
  for (const one of [pod, other, routed]) await one[Symbol.asyncDispose]();
  await assertAsBefore(host, before);
});

Deno.test("what it loses is mended, and what comes later is attached", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(host, NONE);
  assertEquals(await host.node.check(), []);
  const [one] = onBridge(11).interfaces ?? [];
  assert(one !== undefined);
  await pod.sandbox.attach(one);
  const { hostInterface } = pod.sandbox.interfaces[0] ?? {};
  for (
    const [namespace, damage, object] of [
      [pod.namespace, "ip link set lo down", "pod's link lo"],
      [host.namespace, `ip link del ${hostInterface}`, "pod's link eth0"],
    ] as const
  ) {
    command(namespace, damage);
    const found = await host.node.check();
    assertEquals(found.map((finding) => finding.object), [object]);
    assertEquals((await host.node.repair()).remaining, []);
    assertEquals(await host.node.check(), []);
  }
  const from = portAddress(11)(4);
  assertEquals(
    seen(pod.namespace, host.namespace, bridgeAddress(4)),
    [from, from],
  );
  // Only its pin, while a process is in it.
  command(host.namespace, `umount -l ${pod.sandbox.netnsPath}`);
  assertEquals(await host.node.collectGarbage(), []);
});

Deno.test("in a namespace of somebody else's, nothing is left of it", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  using foreign = NetworkNamespace.create();
  const netns = `/proc/${Deno.pid}/fd/${foreign.fd}`;
  const state = () =>
    command(
      foreign,
      "ip -o link | grep -v ' lo:' || true; ip rule; ip -6 rule",
    );
  const before = state();
  const spec = { ...onBridge(11), name: "a", netns };
  const sandbox = await host.node.createSandbox(spec);
  const error = await assertRejects(() =>
    host.node.createSandbox({ ...onBridge(12), name: "b", netns })
  );
  assert(isSandboxError(error, "InvalidNamespace"), `${error}`);
  assertEquals(await host.node.check(), []);
  await sandbox.remove();
  assertEquals(state(), before);
});

Deno.test("what needs an interface of podnet's network is refused", async () => {
  await using lab = await createLab();
  const fields: readonly (readonly [string, Partial<SandboxSpec>])[] = [
    ["ports", { ports: [{ hostPort: 8080, containerPort: 80 }] }],
    ["addresses", { addresses: ["10.244.1.7"] }],
    ["mac", { mac: "02:00:00:00:00:07" }],
    ["mtu", { mtu: 1400 }],
    ["routes", { routes: [{ destination: "10.9.0.0/16" }] }],
    ["bandwidth", { bandwidth: { ingress: 1e6 } }],
    ["defaultRoute", { defaultRoute: true }],
    ["interfaceName", { interfaceName: "net0" }],
  ];
  for (const [path, more] of fields) {
    const error = await assertRejects(
      () => lab.node.createSandbox({ ...NONE, name: "a", ...more }),
      path,
    );
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
    assertEquals(error.context.problems.map((p) => p.path), [path]);
  }
  await using sandbox = await lab.node.createSandbox({ ...NONE, name: "a" });
  for (
    const act of [
      () => sandbox.addPorts([{ hostPort: 8080, containerPort: 80 }]),
      () => sandbox.setBandwidth({ ingress: 1e6 }),
    ]
  ) {
    const error = await assertRejects(act);
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
  }
});

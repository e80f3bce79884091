/**
 * Pods on bridges, with real traffic between pods, the node and the outside.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { createLab } from "../../src/testing/mod.ts";
import { Eye } from "../hostile/scene.ts";
import { FAMILIES, seen } from "../support/ask.ts";
import { bridgeAddress, macOf, port, portAddress } from "../support/bridged.ts";
import { command } from "../support/command.ts";
import { BROADCAST_MAC, type Bytes, frame } from "../support/frames.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { Wire } from "../support/packets.ts";
import { byFamily, nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { until } from "../support/patience.ts";

/** Whether a frame that `from` sends by its `net1` gets to `to`. */
async function arrives(
  from: NetworkNamespace,
  to: NetworkNamespace,
  source: string,
  isExpected: boolean,
  target: MacAddress = BROADCAST_MAC,
): Promise<boolean> {
  const index = Number(
    /^(\d+):/.exec(command(from, "ip -o link show net1"))?.[1],
  );
  const own = /ether (\S+)/.exec(command(from, "ip -o link show net1"))?.[1];
  using wire = new Wire(from, index);
  using eye = Eye.onLinks(to);
  const send = (source: string, mark: Bytes) =>
    wire.send(frame(0x88b5, mark, {
      from: MacAddress.parse(source),
      to: target,
    }));
  const marks = Array.from(
    { length: 2 },
    () => crypto.getRandomValues(new Uint8Array(64)),
  );
  const [mark, honest] = marks as [Bytes, Bytes];
  send(source, mark);
  send(own ?? "", honest);
  if (isExpected) await until(() => eye.saw(mark), "it did not arrive");
  // Where even the honest one does not arrive, nothing does.
  const end = performance.now() + 50;
  while (performance.now() < end && !eye.saw(honest)) {
    await new Promise((done) => setTimeout(done, 1));
  }
  return eye.saw(mark);
}

Deno.test("pods on a bridge reach each other, the node and its pods, whatever br_netfilter does", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const before = await snapshot(host);
  for (const filtered of [1, 0]) {
    command(
      host.namespace,
      `for f in iptables ip6tables arptables; do
         echo ${filtered} > /proc/sys/net/bridge/bridge-nf-call-$f
       done`,
    );
    await using one = await Pod.create(host, { interfaces: [port(11)] });
    await using two = await Pod.create(host, { interfaces: [port(12)] });
    await using routed = await Pod.create(host);
    for (const family of FAMILIES) {
      const [from, to] = [portAddress(11)(family), portAddress(12)(family)];
      assertEquals(seen(one.namespace, two.namespace, to), [from, from]);
      const gateway = bridgeAddress(family);
      assertEquals(
        seen(one.namespace, host.namespace, gateway),
        [from, from],
      );
      assertEquals(
        seen(host.namespace, two.namespace, to),
        [gateway, gateway],
      );
      const address = routed.address(family);
      assertEquals(
        seen(routed.namespace, two.namespace, to),
        [address, address],
      );
    }
    assertEquals(await host.node.check(), []);
    assertEquals(await host.node.collectGarbage(), []);
  }
  await assertAsBefore(host, before);
});

Deno.test("a bridge can be a pod's way out, under the node's address", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(host, {
    defaultRoute: false,
    interfaces: [{
      ...port(11, { masquerade: true }),
      defaultRoute: true,
    }],
  });
  await using routed = await Pod.create(host);
  for (const family of FAMILIES) {
    const outside = byFamily("192.168.50.254", "fd50::fe")(family);
    assertEquals(
      seen(pod.namespace, lab.outside.namespace, outside),
      Array(2).fill(nodeAddress(family)),
    );
    // Among pods nothing is translated.
    assertEquals(
      seen(pod.namespace, routed.namespace, routed.address(family)),
      Array(2).fill(portAddress(11)(family)),
    );
  }
});

Deno.test("hairpin, isolation and the check of MACs are each as they were asked for", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const STRANGE = "02:00:00:00:00:99";
  await using plain = await Pod.create(host, {
    interfaces: [port(11, { macSpoofCheck: false })],
  });
  await using strict = await Pod.create(host, { interfaces: [port(12)] });
  await using hairpin = await Pod.create(host, {
    interfaces: [port(13, { hairpin: true })],
  });
  await using shy = await Pod.create(host, {
    interfaces: [port(14, { isolated: true })],
  });
  await using shier = await Pod.create(host, {
    interfaces: [port(15, { isolated: true })],
  });
  const tells: readonly (readonly [Pod, Pod, boolean, string, string?])[] = [
    [plain, strict, true, "plain"],
    [plain, strict, true, "unchecked", STRANGE],
    [strict, plain, true, "strict"],
    [strict, plain, false, "checked", STRANGE],
    [strict, plain, false, "stolen", macOf(plain)],
    [hairpin, hairpin, true, "hairpin"],
    [plain, plain, false, "no hairpin"],
    [shy, shier, false, "isolated"],
    [shy, plain, true, "shy"],
    [plain, shy, true, "to shy"],
  ];
  for (const [from, to, isTold, why, source = macOf(from)] of tells) {
    const arrived = arrives(from.namespace, to.namespace, source, isTold);
    assertEquals(await arrived, isTold, why);
  }
  const from = portAddress(14)(4);
  assertEquals(
    seen(shy.namespace, host.namespace, bridgeAddress(4)),
    [from, from],
  );
});

Deno.test("by the node as their router isolated pods reach each other, when both go that way", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const isolated = (number: number) => ({
    attachment: { type: "none" } as const,
    interfaces: [{ ...port(number, { isolated: true }), defaultRoute: true }],
  });
  await using one = await Pod.create(host, isolated(11));
  await using two = await Pod.create(host, isolated(12));
  const [from, to] = [portAddress(11)(4), portAddress(12)(4)];
  for (const [pod, other] of [[one, to], [two, from]] as const) {
    command(
      pod.namespace,
      `for link in all net1; do
         echo 0 > /proc/sys/net/ipv4/conf/$link/accept_redirects
       done
       ip route add ${other} via ${bridgeAddress(4)}`,
    );
  }
  assertEquals(seen(one.namespace, two.namespace, to), [from, from]);
});

Deno.test("who sends with another's MAC gets nothing of its, though nobody checks", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using thief = await Pod.create(host, {
    interfaces: [port(11, { macSpoofCheck: false })],
  });
  await using victim = await Pod.create(host, { interfaces: [port(12)] });
  await using friend = await Pod.create(host, { interfaces: [port(13)] });
  const mac = macOf(victim);
  await arrives(thief.namespace, friend.namespace, mac, true);
  const target = MacAddress.parse(mac);
  for (const [to, isSent] of [[victim, true], [thief, false]] as const) {
    const [from, source] = [friend.namespace, macOf(friend)];
    const arrived = arrives(from, to.namespace, source, isSent, target);
    assertEquals(await arrived, isSent, to.name);
  }
});

Deno.test("bridges are networks apart, each with addresses of its own", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const before = await snapshot(host);
  const apart = (bridge: string, number: number) =>
    port(number, { bridge, nodeAddresses: [] });
  await using one = await Pod.create(host, { interfaces: [apart("a0", 11)] });
  await using two = await Pod.create(host, { interfaces: [apart("a0", 12)] });
  await using other = await Pod.create(host, {
    interfaces: [apart("b0", 12)],
  });
  for (const family of FAMILIES) {
    const [from, to] = [portAddress(11)(family), portAddress(12)(family)];
    // With br_netfilter, too, which shows the node's rules what is bridged.
    assertEquals(seen(one.namespace, two.namespace, to), [from, from]);
  }
  {
    using eye = Eye.onLinks(other.namespace);
    using wire = new Wire(
      one.namespace,
      Number(/^\d+/.exec(command(one.namespace, "ip -o link show net1"))?.[0]),
    );
    const mark = crypto.getRandomValues(new Uint8Array(64));
    using near = Eye.onLinks(two.namespace);
    wire.send(frame(0x88b5, mark, {
      from: MacAddress.parse(macOf(one)),
      to: BROADCAST_MAC,
    }));
    await until(() => near.saw(mark), "it does not arrive on its own bridge");
    assertEquals(eye.saw(mark), false);
  }
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  await assertAsBefore(host, before);
});

/**
 * Bridges and ports that others break.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createLab } from "../../src/testing/mod.ts";
import { FAMILIES, seen } from "../support/ask.ts";
import { bridgeAddress, macOf, port, portAddress } from "../support/bridged.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";

Deno.test("repair() puts a bridge and its ports right, and a watch does", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using one = await Pod.create(host, {
    interfaces: [port(11, { isolated: true, masquerade: true })],
  });
  await using two = await Pod.create(host, { interfaces: [port(12)] });
  const { hostInterface = "" } = one.sandbox.interfaces[0] ?? {};
  const mac = macOf(one);
  const damages: readonly (readonly [string, string])[] = [
    [`ip link set ${hostInterface} nomaster`, `link ${hostInterface}`],
    [
      `bridge link set dev ${hostInterface} isolated off`,
      `isolated of link ${hostInterface}`,
    ],
    [
      `bridge fdb del ${mac} dev ${hostInterface} master`,
      `forwarding entry ${mac} on ${hostInterface}`,
    ],
    [
      "ip addr del 10.88.0.1/16 dev cni0",
      "address 10.88.0.1/16 of bridge cni0",
    ],
    ["ip link set cni0 down", "bridge cni0"],
    ["ip link set cni0 group 0", "bridge cni0"],
    ["ip link set cni0 group 99999", "bridge cni0"],
    [`ip link set ${hostInterface} down`, `link ${hostInterface}`],
    [
      `ip -6 route flush dev ${hostInterface} proto 112 table all`,
      "claim of fd88::11 on bridge cni0",
    ],
    [`ip link del ${hostInterface}`, "pod's link net1"],
    ["ip link del cni0", "bridge cni0"],
    [
      "echo 2 > /proc/sys/net/ipv6/conf/cni0/accept_ra",
      "sysctl net.ipv6.conf.cni0.accept_ra",
    ],
    [
      "echo 0 > /proc/sys/net/ipv4/conf/cni0/rp_filter",
      "sysctl net.ipv4.conf.cni0.rp_filter",
    ],
  ];
  const works = () =>
    FAMILIES.map((family) => {
      const [from, to] = [portAddress(11)(family), portAddress(12)(family)];
      assertEquals(seen(one.namespace, two.namespace, to), [from, from]);
      const gateway = bridgeAddress(family);
      assertEquals(seen(one.namespace, host.namespace, gateway), [from, from]);
    });
  for (const [damage, object] of damages) {
    command(host.namespace, damage);
    const found = (await host.node.check()).map((f) => f.object);
    assert(found.includes(object), `${damage}: ${found}`);
    const { remaining } = await host.node.repair();
    assertEquals(remaining, [], damage);
    assertEquals(await host.node.check(), [], damage);
    works();
  }
  let next = 0;
  const watched = damages.slice(0, 9);
  for await (const event of host.node.watch({ repair: true })) {
    if (event.type !== "repaired" && event.type !== "ready") continue;
    if (
      event.type === "repaired" &&
      event.finding.object !== watched[next - 1]?.[1]
    ) continue;
    const damage = watched[next++];
    if (damage === undefined) break;
    command(host.namespace, damage[0]);
  }
  works();
});

Deno.test("what is mended with something else is not told as remaining", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using _pod = await Pod.create(host, {
    interfaces: [
      port(11),
      {
        name: "net2",
        attachment: { type: "macvlan", parent: "cni0" },
        addresses: ["10.87.0.2/24"],
      },
    ],
  });
  command(host.namespace, "ip link del cni0");
  const { mended, remaining } = await host.node.repair();
  assertEquals(remaining, []);
  const problems = mended.map(({ object, problem }) => `${object} ${problem}`);
  assert(problems.some((text) => /net2 .*no link cni0/.test(text)));
  assertEquals(await host.node.check(), []);
});

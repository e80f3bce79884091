/**
 * Bridges and ports that others break.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { InterfaceSpec } from "../../mod.ts";
import { sandboxRecord } from "../../src/sandbox/records/records.ts";
import { readRecord, writeRecord } from "../../src/state/store.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { FAMILIES, seen } from "../support/ask.ts";
import {
  bridgeAddress,
  macOf,
  port,
  portAddress,
  userBridge,
} from "../support/bridged.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { nextOf, readyWatch } from "./site.ts";

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
});

/** On the user's bridge. */
function onUsers(number: number): InterfaceSpec {
  return {
    ...port(number, { bridge: "br0", nodeAddresses: [] }),
    addresses: [`10.66.0.${number}/24`],
  };
}

async function problems({ node }: LabNode): Promise<string[]> {
  const { remaining } = await node.repair();
  return remaining.map(({ object, problem }) => `${object} ${problem}`);
}

Deno.test("a bridge of the user's is not made anew, and its ports join it when it is back", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const links = () => command(host.namespace, "ip -o link show type bridge");
  const remove = (...links: string[]) =>
    command(host.namespace, links.map((l) => `ip link del ${l}`).join("\n"));
  // Of one name, and so of one MAC, which the first knows.
  const second = { name: "two", interfaces: [onUsers(12)] };
  const works = (one: Pod, two: Pod) => {
    const [from, to] = ["10.66.0.11", "10.66.0.12"];
    assertEquals(seen(one.namespace, two.namespace, to), [from, from]);
  };
  userBridge(host);
  await using one = await Pod.create(host, { interfaces: [onUsers(11)] });
  const { hostInterface = "" } = one.sandbox.interfaces[0] ?? {};
  for (const gone of [["br0"], ["br0", hostInterface]]) {
    await using two = await Pod.create(host, second);
    works(one, two);
    remove(...gone, "port0");
    const twice = ["bridge br0 is gone", "bridge br0 is gone"];
    assertEquals(await problems(host), twice);
    assertEquals(links(), "");
    userBridge(host);
    assertEquals(await problems(host), []);
    works(one, two);
    assertEquals(await host.node.check(), []);
  }
  await using two = await Pod.create(host, second);
  // What others have made podnet make meanwhile is another network.
  remove("br0", "port0");
  await using three = await Pod.create(host, { interfaces: [onUsers(13)] });
  const other = "bridge br0 is podnet's, and was not";
  assertEquals(await problems(host), [other, other]);
  await three[Symbol.asyncDispose]();
  userBridge(host);
  assertEquals(await problems(host), []);
  works(one, two);
});

Deno.test("a watch makes the ports of a bridge of the user's ports of the next one of its name", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  userBridge(host);
  // They send nothing, and the kernel asks for no router: neighbours that come and go would have the pods looked at, too.
  const quiet = (number: number) => ({
    interfaces: [onUsers(number)],
    sysctls: { "net.ipv6.conf.net1.disable_ipv6": "1" },
    unsafeSysctls: ["net.ipv6.conf.net1.disable_ipv6"],
  });
  await using one = await Pod.create(host, quiet(11));
  await using two = await Pod.create(host, quiet(12));
  await using watch = await readyWatch(host);
  command(host.namespace, "ip link del br0; ip link del port0");
  for (const _ of [one, two]) {
    const event = await nextOf(watch, "repaired", "unrepaired");
    assert(event.type === "unrepaired", JSON.stringify(event));
    assertEquals(event.finding.object, "bridge br0");
  }
  userBridge(host);
  // Each one's port, and its claim.
  for (const _ of [1, 2, 3, 4]) await nextOf(watch, "repaired");
  const [from, to] = ["10.66.0.11", "10.66.0.12"];
  assertEquals(seen(one.namespace, two.namespace, to), [from, from]);
  assertMatch(
    command(host.namespace, "ip -o link show br0"),
    /link\/ether 02:00:00:00:00:b0/,
  );
});

Deno.test("whose bridge it was when that is not known is left to people", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(host, { interfaces: [port(11)] });
  const path = pod.sandbox.netnsPath.replace(/netns$/, "record.cbor");
  const forget = () => {
    const record = readRecord(sandboxRecord, path);
    assert(record);
    const interfaces = record.interfaces.map(({ ownBridge, ...rest }) => {
      assertEquals(ownBridge, true);
      return rest;
    });
    writeRecord(sandboxRecord, path, { ...record, interfaces });
  };
  const { hostInterface } = pod.sandbox.interfaces[0] ?? {};
  const removal = `ip link del cni0; ip link del ${hostInterface}`;
  command(host.namespace, removal);
  assertEquals(await problems(host), []);
  forget();
  assertEquals(await host.node.check(), []);
  command(host.namespace, "ip link del cni0");
  assertEquals(await problems(host), ["bridge cni0 is gone"]);
  await pod.sandbox.detach("net1");
  await pod.sandbox.attach(port(11));
  assertEquals(await host.node.check(), []);
});

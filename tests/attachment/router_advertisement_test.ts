/**
 * A pod that says it is a router (CVE-2020-10749): the node does not believe it.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { bind, send, SOCK_RAW, socket } from "../../ffi/socket.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { eventually } from "../support/patience.ts";

const AF_PACKET = 17;
const ETH_P_IPV6 = 0x86dd;
const SIZE_OF_SOCKADDR_LL = 20;
const ICMPV6 = 58;
/** As the kernel believes them: from a link-local address, over one hop, to all nodes (RFC 4861, 6.1.2). */
const ROUTER = "fe800000000000000000000000000bad";
const ALL_NODES = "ff020000000000000000000000000001";
const PREFIX = "20010db8bad000000000000000000000";

/** An Ethernet frame with an advertisement of a default route, and of a prefix to make addresses from. */
function advertisement(): Uint8Array<ArrayBuffer> {
  const body = Uint8Array.fromHex(
    "8600" + "0000" + // type 134, checksum
      "4000" + "0708" + "00000000" + "00000000" + // hop limit, lifetime 1800 s
      "0304" + "40c0" + "0000ffff" + "0000ffff" + "00000000" + PREFIX,
  );
  const pseudo = Uint8Array.fromHex(
    ROUTER + ALL_NODES + body.length.toString(16).padStart(8, "0") + "0000003a",
  );
  new DataView(body.buffer).setUint16(2, checksum([...pseudo, ...body]));
  return Uint8Array.fromHex(
    "333300000001" + "02000000beef" + "86dd" + // Ethernet
      "60000000" + body.length.toString(16).padStart(4, "0") +
      ICMPV6.toString(16) + "ff" + ROUTER + ALL_NODES + body.toHex(),
  );
}

/** RFC 1071. */
function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Sends the advertisement by the interface, past all that the sender's kernel would check. */
function advertise(namespace: NetworkNamespace, index: number): void {
  using fd = namespace.run(() => socket(AF_PACKET, SOCK_RAW, 0));
  const address = new Uint8Array(SIZE_OF_SOCKADDR_LL);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, ETH_P_IPV6);
  view.setInt32(4, index, true);
  bind(fd, address);
  send(fd, advertisement());
}

/** What the node has learnt, of all of its links. */
function learnt({ namespace }: LabNode): string {
  return command(
    namespace,
    "ip -6 route show proto ra; ip -6 addr show dynamic",
  );
}

/** A link of the node that nobody has guarded: the same frame is believed there. */
function addUnguarded(node: LabNode, far: NetworkNamespace): void {
  node.namespace.run(() => {
    const pair = "ip link add plain type veth peer name far";
    command(node.namespace, `${pair} netns /proc/${Deno.pid}/fd/${far.fd}`);
  });
  command(far, "ip link set far up");
  command(
    node.namespace,
    "echo 2 > /proc/sys/net/ipv6/conf/plain/accept_ra; ip link set plain up",
  );
}

for (const families of [[4], [4, 6]] as const) {
  Deno.test(`a router advertisement of a pod changes nothing on a node of IPv${families.join(" and IPv")} (CVE-2020-10749)`, async () => {
    await using lab = await createLab({ families });
    const node = nodeAt(lab.nodes, 0);
    // As on a node that listens to routers though it forwards.
    command(
      node.namespace,
      "echo 2 > /proc/sys/net/ipv6/conf/default/accept_ra",
    );
    const nodeAddresses = ["10.88.0.1/24", "fd88::1/64"]
      .slice(0, families.length);
    await using pod = await Pod.create(node, {
      interfaces: [{
        name: "net1",
        attachment: {
          type: "bridge",
          bridge: "cni0",
          nodeAddresses,
          macSpoofCheck: false,
        },
      }],
    });
    const [, net1] = /^(\d+): net1/m.exec(
      command(pod.namespace, "ip -o link"),
    ) ?? [];
    for (const index of [2, Number(net1)]) advertise(pod.namespace, index);
    assertEquals(learnt(node), "");
    using far = NetworkNamespace.create();
    addUnguarded(node, far);
    const [, index] = /^(\d+): far/m.exec(command(far, "ip -o link")) ?? [];
    assert(index !== undefined);
    // A link that has just come up hears nothing until the kernel has noticed its carrier.
    await eventually(() => {
      advertise(far, Number(index));
      assertMatch(learnt(node), /default via fe80::bad dev plain/);
    });
  });
}

for (
  const [what, settings, told] of [
    ["as the kernel has it", { accept_ra: "1" }, "1 1"],
    ["told to listen all the same", { accept_ra: "2" }, "0 0"],
    ["not told to forward", { accept_ra: "1", forwarding: "0" }, "0 0"],
  ] as const
) {
  Deno.test(`nor does it without the guard, with new links ${what}`, async () => {
    await using lab = await createLab();
    const node = nodeAt(lab.nodes, 0);
    const settingsOf = "/proc/sys/net/ipv6/conf";
    for (const [name, value] of Object.entries(settings)) {
      command(node.namespace, `echo ${value} > ${settingsOf}/default/${name}`);
    }
    await using pod = await Pod.create(node);
    const { hostInterface } = pod.sandbox;
    assertEquals(
      command(
        node.namespace,
        `cd ${settingsOf}/${hostInterface}; echo $(cat accept_ra accept_redirects)`,
      ).trim(),
      told,
    );
    assertEquals(await node.node.check(), []);
    command(node.namespace, "nft flush chain inet podnet guard");
    advertise(pod.namespace, 2);
    assertEquals(learnt(node), "");
    // The same frame is believed once the pod's own link is told to.
    command(
      node.namespace,
      `echo 2 > ${settingsOf}/${hostInterface}/accept_ra`,
    );
    advertise(pod.namespace, 2);
    assertMatch(learnt(node), /default via fe80::bad dev pn-/);
  });
}

Deno.test("that the node does not forward is told of it, and not of each pod's IPv6 settings", async () => {
  await using lab = await createLab();
  const node = nodeAt(lab.nodes, 0);
  await using _pod = await Pod.create(node);
  command(node.namespace, "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding");
  assertEquals(
    (await node.node.check()).map(({ object }) => object),
    ["sysctl net.ipv6.conf.all.forwarding"],
  );
});

Deno.test("on a bridge of podnet's a pod believes no other that it is a router, on the user's it does", async () => {
  await using lab = await createLab();
  const node = nodeAt(lab.nodes, 0);
  command(node.namespace, "ip link add br0 type bridge; ip link set br0 up");
  const spec = {
    interfaces: ["cni0", "br0"].map((bridge) => ({
      name: `on-${bridge}`,
      attachment: { type: "bridge", bridge, macSpoofCheck: false } as const,
    })),
  };
  await using liar = await Pod.create(node, spec);
  await using victim = await Pod.create(node, spec);
  const linkOf = ({ namespace }: Pod, name: string) =>
    Number(/^\d+/.exec(command(namespace, `ip -o link show ${name}`))?.[0]);
  const learnt = () =>
    command(victim.namespace, "ip -6 route show proto ra; ip -6 addr");
  await eventually(() => {
    for (const name of ["on-cni0", "on-br0"]) {
      advertise(liar.namespace, linkOf(liar, name));
    }
    assertMatch(learnt(), /default via fe80::bad dev on-br0/);
    assertMatch(learnt(), /inet6 2001:db8:bad0:/);
  });
  // What was sent first has come first.
  assertEquals(learnt().includes("dev on-cni0"), false);
  assertEquals(learnt().match(/2001:db8:bad0:/g)?.length, 1);
  const path = "/proc/sys/net/ipv6/conf/on-cni0";
  const beliefs = (pod: Pod) =>
    command(
      pod.namespace,
      `cd ${path}; echo $(cat accept_ra accept_redirects)`,
    ).trim();
  assertEquals(beliefs(victim), "0 0");
  assertEquals(await node.node.check(), []);
  command(
    victim.namespace,
    `echo 2 > ${path}/accept_ra; echo 1 > ${path}/accept_redirects`,
  );
  assertEquals((await node.node.check()).map(({ object }) => object), [
    "pod's sysctl net.ipv6.conf.on-cni0.accept_ra",
    "pod's sysctl net.ipv6.conf.on-cni0.accept_redirects",
  ]);
  assertEquals((await node.node.repair()).remaining, []);
  assertEquals(beliefs(victim), "0 0");
  // Somebody may have made a router a port of it.
  const asked = "net.ipv6.conf.on-cni0.accept_ra";
  await using trusting = await Pod.create(node, {
    ...spec,
    sysctls: { [asked]: "1" },
    unsafeSysctls: [asked],
  });
  assertEquals(beliefs(trusting), "1 0");
  assertEquals(await node.node.check(), []);
});

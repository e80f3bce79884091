/**
 * Further interfaces of a pod: macvlans and links of the node, with real traffic on their networks.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { isSandboxError, type SandboxSpec } from "../../mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { getLink } from "../../src/rtnetlink/link.ts";
import { contextOf } from "../../src/sandbox/node.ts";
import { make, withDevice } from "../../src/sandbox/pod/make_interface.ts";
import { sandboxRecord } from "../../src/sandbox/records/records.ts";
import { readRecord, writeRecord } from "../../src/state/store.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask, FAMILIES, seen, serve, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import {
  byFamily,
  nodeAddress,
  nodeAt,
  outsideAddress,
  Pod,
} from "../support/pods.ts";

/** The link of lab nodes that leads to the segment. */
function uplinkOf({ namespace }: LabNode): string {
  const [line = ""] = command(namespace, "ip -o route show 192.168.50.0/24")
    .split("\n");
  return /dev (\S+)/.exec(line)?.[1] ?? "";
}

function macvlan(
  host: LabNode,
  number: number,
  mode: "bridge" | "private" = "bridge",
) {
  return {
    name: "net1",
    attachment: { type: "macvlan", parent: uplinkOf(host), mode },
    addresses: [`192.168.50.${number}/24`, `fd50::${number}/64`],
  } as const;
}

const macvlanAddress = (number: number) =>
  byFamily(`192.168.50.${number}`, `fd50::${number}`);

Deno.test("a macvlan is on the network of its parent, under its own address", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const before = await snapshot(host);
  await using pod = await Pod.create(host, { interfaces: [macvlan(host, 77)] });
  for (const family of FAMILIES) {
    const own = macvlanAddress(77)(family);
    const outside = outsideAddress(family);
    assertEquals(seen(pod.namespace, lab.outside.namespace, outside), [
      own,
      own,
    ]);
    assertEquals(
      seen(lab.outside.namespace, pod.namespace, own),
      [outside, outside],
    );
  }
  const [net1] = pod.sandbox.interfaces;
  assertEquals(net1?.addresses, ["192.168.50.77/24", "fd50::77/64"]);
  const link = command(pod.namespace, "ip -o link show net1");
  assert(link.includes(net1?.mac ?? "no mac"), link);
  assertEquals(await host.node.check(), []);
  await pod[Symbol.asyncDispose]();
  await assertAsBefore(host, before);
});

Deno.test("macvlans of one parent reach each other, private ones do not", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using one = await Pod.create(host, { interfaces: [macvlan(host, 71)] });
  await using two = await Pod.create(host, { interfaces: [macvlan(host, 72)] });
  await using shy = await Pod.create(host, {
    interfaces: [macvlan(host, 73, "private")],
  });
  const [from, to] = [macvlanAddress(71)(4), macvlanAddress(72)(4)];
  assertEquals(seen(one.namespace, two.namespace, to), [from, from]);
  for (const transport of TRANSPORTS) {
    const at = { address: macvlanAddress(73)(4), port: 7000 };
    using server = serve("shy", shy.namespace, { transport, ...at });
    const timeoutMs = 500;
    const answer = ask(transport, one.namespace, at, [server], { timeoutMs });
    assertEquals(typeof answer, "string");
  }
  assertEquals(
    seen(shy.namespace, lab.outside.namespace, outsideAddress(4)),
    Array(2).fill(macvlanAddress(73)(4)),
  );
});

/** A link of the node that leads to somebody, who is a router, too. */
function addDevice(lab: Lab, host: LabNode): void {
  const far = `/proc/${Deno.pid}/fd/${lab.outside.namespace.fd}`;
  command(
    host.namespace,
    `ip link add spare0 mtu 1400 address 02:00:00:00:0d:01 type veth peer name far0
     ip link set far0 netns ${far}
     ip addr add 203.0.113.1/24 dev spare0
     ip addr add 2001:db8:13::1/64 dev spare0 nodad
     ip link set spare0 up addrgenmode none`,
  );
  command(
    lab.outside.namespace,
    `ip addr add 203.0.113.254/24 dev far0
     ip addr add 2001:db8:13::fe/64 dev far0 nodad
     ip addr add 198.51.100.9/32 dev lo
     ip link set far0 up`,
  );
}

const DEVICE = {
  name: "net1",
  attachment: { type: "device", device: "spare0" },
  addresses: ["203.0.113.7/24", "2001:db8:13::7/64"],
  gateways: ["203.0.113.254"],
} as const;

/** The device as the node has it. */
function deviceState({ namespace }: LabNode): string {
  return command(
    namespace,
    `ip -d link show spare0 | sed 's/qdisc.*//;s/promisc.*//' | head -2
     ip -o addr show dev spare0 scope global | sed 's/ *valid_lft.*//' | sort`,
  );
}

Deno.test("a device is moved in, answers from where it is asked, and comes back as it was", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  addDevice(lab, host);
  const before = deviceState(host);
  await using pod = await Pod.create(host, { interfaces: [DEVICE] });
  assertEquals(
    command(host.namespace, "ip -o link show | grep -c spare0 || true").trim(),
    "0",
  );
  const outside = lab.outside.namespace;
  assertEquals(
    seen(outside, pod.namespace, "203.0.113.7"),
    ["203.0.113.254", "203.0.113.254"],
  );
  // Of another network, whose answers the pod's default route would lead to the node.
  assertEquals(
    seen(outside, pod.namespace, "203.0.113.7", "198.51.100.9"),
    ["198.51.100.9", "198.51.100.9"],
  );
  assertEquals(
    seen(outside, pod.namespace, "2001:db8:13::7"),
    ["2001:db8:13::fe", "2001:db8:13::fe"],
  );
  assertEquals(await host.node.check(), []);
  await pod.sandbox.detach("net1");
  assertEquals(deviceState(host), before);
  await pod.sandbox.attach(DEVICE);
  await pod.sandbox.attach(DEVICE);
  assertEquals(pod.sandbox.interfaces.map(({ name }) => name), ["net1"]);
  await pod[Symbol.asyncDispose]();
  assertEquals(deviceState(host), before);
  assertEquals(await host.node.collectGarbage(), []);
});

Deno.test("an interface can have the pod's default routes, and host ports work all the same", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  addDevice(lab, host);
  await using pod = await Pod.create(host, {
    defaultRoute: false,
    interfaces: [{ ...DEVICE, defaultRoute: true }],
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  assert(command(pod.namespace, "ip route get 8.8.8.8").includes("dev net1"));
  using server = pod.serve("tcp", 4, 80);
  const outcome = ask(
    "tcp",
    lab.outside.namespace,
    { address: nodeAddress(4), port: 8080 },
    [server],
  );
  assert(typeof outcome === "object", `${outcome}`);
});

Deno.test("in a namespace of somebody else's, what was attached goes with the sandbox", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  addDevice(lab, host);
  using foreign = NetworkNamespace.create();
  const state = () =>
    command(
      foreign,
      "ip -o link | grep -v ' lo:' || true; ip rule; ip -6 rule",
    );
  const [device, before] = [deviceState(host), state()];
  const sandbox = await host.node.createSandbox({
    name: "a",
    netns: `/proc/${Deno.pid}/fd/${foreign.fd}`,
    interfaces: [{ ...DEVICE, name: "net2" }, {
      ...macvlan(host, 77),
      gateways: ["192.168.50.254", "fd50::fe"],
    }],
  });
  assertEquals(await host.node.check(), []);
  await sandbox.remove();
  assertEquals(state(), before);
  assertEquals(deviceState(host), device);
});

Deno.test("an interface of a spec has the same routes as one that is attached later", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const interfaces = [macvlan(host, 77)];
  // To the network that the interface is in.
  const routes = [{ destination: "192.168.50.0/24" }];
  const routesOf = ({ namespace }: Pod) =>
    command(namespace, "ip route show 192.168.50.0/24")
      .replaceAll(/192\.168\.50\.7\d/g, "ADDRESS");
  await using pod = await Pod.create(host, { routes, interfaces });
  const found = routesOf(pod);
  assertMatch(found, /dev eth0.*\n.*dev net1 proto kernel/s);
  await pod.sandbox.remove();
  await using later = await Pod.create(host, { routes });
  for (const one of interfaces) await later.sandbox.attach(one);
  assertEquals(routesOf(later), found);
});

Deno.test("repair() puts interfaces right", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  addDevice(lab, host);
  await using pod = await Pod.create(host, {
    interfaces: [DEVICE, {
      ...macvlan(host, 77),
      name: "net2",
      mtu: 1400,
      routes: [{ destination: "10.99.0.0/16", gateway: "192.168.50.254" }],
    }],
  });
  const home = `/proc/${Deno.pid}/fd/${host.namespace.fd}`;
  const damages: readonly (readonly [string, string])[] = [
    ["ip link del net2", "pod's link net2"],
    ["ip link set net2 name mine", "pod's link net2"],
    ["ip link set net2 mtu 1300", "pod's link net2"],
    ["ip addr del 192.168.50.77/24 dev net2", "pod's address 192.168.50.77/24"],
    [
      "ip route del 10.99.0.0/16",
      "pod's route to 10.99.0.0/16 via 192.168.50.254",
    ],
    ["ip rule del from 203.0.113.7", "pod's rule for what is from 203.0.113.7"],
    ["ip link set net1 down", "pod's link net1"],
    [
      `ip link set net1 down; ip link set net1 name spare0; ip link set spare0 netns ${home}`,
      "pod's link net1",
    ],
  ];
  for (const [damage, object] of damages) {
    command(pod.namespace, damage);
    const found = (await host.node.check()).map((f) => f.object);
    assert(found.includes(object), `${damage}: ${found}`);
    const { remaining } = await host.node.repair();
    assertEquals(remaining, [], damage);
    assertEquals(await host.node.check(), [], damage);
  }
  // The other end takes its time to notice its carrier, unless it is asked for.
  command(lab.outside.namespace, "ip link show far0");
  assertEquals(
    seen(lab.outside.namespace, pod.namespace, "203.0.113.7", "198.51.100.9"),
    ["198.51.100.9", "198.51.100.9"],
  );
  let next = 0;
  const watched = damages.slice(0, 4);
  for await (const event of host.node.watch({ repair: true })) {
    if (event.type !== "repaired" && event.type !== "ready") continue;
    if (
      event.type === "repaired" &&
      event.finding.object !== watched[next - 1]?.[1]
    ) continue;
    const damage = watched[next++];
    if (damage === undefined) break;
    command(pod.namespace, damage[0]);
  }
});

Deno.test("a device is given back by garbage collection, and is not lost for good to a name that was taken", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  addDevice(lab, host);
  const before = deviceState(host);
  const make = async () => {
    await using sandbox = await host.node.createSandbox({
      name: "a",
      interfaces: [DEVICE],
    });
    return sandbox.netnsPath.replace(/netns$/, "record.cbor");
  };
  const path = await make();
  const record = readRecord(sandboxRecord, path);
  assert(record);
  writeRecord(sandboxRecord, path, { ...record, state: "creating" });
  assertEquals((await host.node.collectGarbage()).map(({ kind }) => kind), [
    "sandbox",
  ]);
  assertEquals(deviceState(host), before);

  await make();
  command(host.namespace, "ip link add spare0 type bridge");
  await host.node.removeSandbox("a");
  const found = command(
    host.namespace,
    "ip -o link show | grep 02:00:00:00:0d:01",
  );
  assert(/ spare0-[0-9a-f]+@/.test(found), found);
});

Deno.test("attach() refuses what cannot be, and leaves all as it is", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  addDevice(lab, host);
  await using pod = await Pod.create(host, { interfaces: [macvlan(host, 77)] });
  await using onHost = await Pod.create(host, { hostNetwork: true });
  command(
    host.namespace,
    `ip link add br0 type bridge; ip link add port0 type veth peer name port1
     ip link set port0 master br0`,
  );
  const before = await snapshot(host);
  const device = (name: string) => ({ type: "device", device: name }) as const;
  for (
    const [{ sandbox }, spec, path] of [
      [
        pod,
        { ...DEVICE, name: "net2", attachment: device("none") },
        "attachment.device",
      ],
      [
        pod,
        { ...DEVICE, name: "net2", attachment: device("port0") },
        "attachment.device",
      ],
      // A bridge cannot be moved, as the kernel says.
      [
        pod,
        { ...DEVICE, name: "net2", attachment: device("br0") },
        "attachment.device",
      ],
      [
        pod,
        { ...DEVICE, name: "net2", attachment: device("lo") },
        "attachment.device",
      ],
      [pod, {
        ...DEVICE,
        name: "net2",
        attachment: device(pod.sandbox.hostInterface ?? ""),
      }, "attachment.device"],
      [pod, {
        ...macvlan(host, 78),
        name: "net2",
        attachment: { type: "macvlan", parent: "none" },
      }, "attachment.parent"],
      [pod, DEVICE, "name"],
      [pod, { ...DEVICE, name: "eth0" }, "name"],
      [pod, { ...DEVICE, name: "net2", defaultRoute: true }, "defaultRoute"],
      [
        pod,
        { ...DEVICE, name: "net2", gateways: ["192.0.2.1"] },
        "gateways[0]",
      ],
      [onHost, DEVICE, ""],
    ] as const
  ) {
    const error = await assertRejects(() => sandbox.attach(spec), `${path}`);
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
    assertEquals(error.context.problems.map((p) => p.path), [path]);
  }
  await assertAsBefore(host, before);
  assertEquals(pod.sandbox.interfaces.length, 1);
  assertEquals(await host.node.check(), []);
  await pod.sandbox.detach("net9");
});

Deno.test("createSandbox() tells a link that is not there by its place in the spec", async () => {
  await using lab = await createLab();
  const spec: SandboxSpec = { name: "a", interfaces: [DEVICE] };
  const error = await assertRejects(() => lab.node.createSandbox(spec));
  assert(isSandboxError(error, "InvalidSpec"), `${error}`);
  assertEquals(error.context.problems.map((p) => p.path), [
    "interfaces.net1.attachment.device",
  ]);
  assertEquals(await lab.node.listSandboxes(), []);
});

Deno.test("a link that somebody sees before it is what it was is given back as the note of it says", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  addDevice(lab, host);
  const before = deviceState(host);
  await using first = await Pod.create(host, { interfaces: [DEVICE] });
  // As whoever detaches it, and dies then, leaves it.
  const home = `/proc/${Deno.pid}/fd/${host.namespace.fd}`;
  command(
    first.namespace,
    `ip link set net1 down; ip link set net1 name spare0; ip link set spare0 netns ${home}`,
  );
  await using second = await Pod.create(host, { interfaces: [DEVICE] });
  await second.sandbox.detach("net1");
  assertEquals(deviceState(host), before);
  await first.sandbox.detach("net1");
  assertEquals(deviceState(host), before);
});

Deno.test("a link that somebody has taken since it was found is refused by its place in the spec", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  addDevice(lab, host);
  const context = contextOf(host.node);
  const [stale] = context.sockets.route.request(getLink({ name: "spare0" }));
  assert(stale);
  await using pod = await Pod.create(host, { interfaces: [DEVICE] });
  const record = context.state.readSandbox(pod.sandbox.id);
  const [own] = record?.interfaces ?? [];
  assert(record && own);
  using podRoute = pod.namespace.run(() => Connection.open(NETLINK_ROUTE));
  const open = { namespace: pod.namespace, podRoute };
  for (
    const act of [
      () => withDevice(context, record, own, stale, "here"),
      () => make(context, record, open, own, stale, () => {}, "here"),
    ]
  ) {
    const error = assertThrows(act);
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
    assertEquals(error.context.problems.map((p) => p.path), [
      "here.attachment.device",
    ]);
  }
});

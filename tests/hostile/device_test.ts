/**
 * A pod that has a link of the node, owns its network, and puts a link of its own in the place of the node's: what it keeps
 * the other end of must not come to the node, let alone with the node's addresses.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { isSandboxError, type Sandbox } from "../../mod.ts";
import { giveBack, nodeDevice } from "../../src/attachment/node_device.ts";
import { linkIdentity } from "../../src/namespace/link_identity.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { getLink } from "../../src/rtnetlink/link.ts";
import { sandboxRecord } from "../../src/sandbox/records/records.ts";
import { readRecord, writeRecord } from "../../src/state/store.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask, serve } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { OwnUsers } from "./own_users.ts";

type TestLab = Lab<readonly [LabNode]>;

const NEIGHBOUR = { address: "203.0.113.254", port: 53 };

/** A link of the node that leads to somebody. */
function addDevice({ nodes: [{ namespace }], outside }: TestLab): void {
  command(
    namespace,
    `ip link add spare0 type veth peer name far0
     ip link set far0 netns /proc/${Deno.pid}/fd/${outside.namespace.fd}
     ip addr add 203.0.113.1/24 dev spare0
     ip link set spare0 up`,
  );
  command(outside.namespace, "ip link set far0 up");
}

function linksOf({ nodes: [{ namespace }] }: TestLab): string {
  return command(namespace, "ip -o link show");
}

/** Hides the node's link, and makes another that looks like it and whose other end stays in the pod. */
async function plant(users: OwnUsers): Promise<void> {
  const [{ ifindex, address }] = JSON.parse(
    users.tell("ip -j link show dev net1"),
  );
  const complaint = users.inside(
    `ip link set net1 netns ${await users.nest()}
     ip link add net1 index ${ifindex} address ${address} type veth peer name tap0
     ip link set tap0 up
     ip addr add ${NEIGHBOUR.address}/24 dev tap0`,
  );
  assertEquals(complaint, "");
}

/** As a version of podnet wrote it that did not note which link it is. */
function forgetIdentity({ netnsPath }: Sandbox): void {
  const path = netnsPath.replace(/netns$/, "record.cbor");
  const record = readRecord(sandboxRecord, path);
  assert(record);
  writeRecord(sandboxRecord, path, {
    ...record,
    interfaces: record.interfaces.map((one) => {
      const { identity, ...device } = one.device ?? {};
      assert(identity !== undefined);
      return { ...one, device } as typeof one;
    }),
  });
}

/** Gives the device to a pod that plants another, and takes it back; whether the node then talks to the pod. */
async function isTaken(isIdentified: boolean): Promise<boolean> {
  await using lab = await createLab();
  const { node } = lab;
  addDevice(lab);
  await using users = await OwnUsers.create();
  const sandbox = await node.createSandbox({
    name: "attacker",
    netns: users.netns,
    interfaces: [{
      name: "net1",
      attachment: { type: "device", device: "spare0" },
    }],
  });
  await plant(users);
  if (!isIdentified) forgetIdentity(sandbox);
  const failure = await sandbox.detach("net1").catch((error: unknown) => error);
  if (linksOf(lab).includes("spare0")) {
    assertEquals(failure, undefined);
    using pod = NetworkNamespace.open(users.netns);
    using server = serve("attacker", pod, { transport: "udp", ...NEIGHBOUR });
    const answer = ask("udp", lab.nodes[0].namespace, NEIGHBOUR, [server]);
    await sandbox.remove();
    return typeof answer === "object" && answer.server === "attacker";
  }
  assert(isSandboxError(failure, "DeviceLost"), `${failure}`);
  const problems = (await node.check()).map(({ object, problem }) =>
    `${object} ${problem}`
  );
  assertEquals(problems, ["pod's link net1 is not the node's spare0"]);
  const error = await assertRejects(() => sandbox.remove());
  assert(isSandboxError(error, "DeviceLost"), `${error}`);
  // It has all the rest yet.
  assertEquals((await node.check()).length, problems.length);
  await sandbox.remove({ force: true });
  assert(!linksOf(lab).includes("spare0"));
  assertEquals(await node.check(), []);
  return false;
}

Deno.test("a pod plants a link in the place of the node's | its identity is noted | fails; without, succeeds", async () => {
  assertEquals(await isTaken(true), false);
  assertEquals(await isTaken(false), true);
});

Deno.test("a link that is planted between the look and the move | it is looked at again on the node | goes back to the pod", async () => {
  await using lab = await createLab();
  addDevice(lab);
  using opened = new DisposableStack();
  const place = (namespace: NetworkNamespace) => ({
    namespace,
    route: opened.use(namespace.run(() => Connection.open(NETLINK_ROUTE))),
  });
  const node = place(lab.nodes[0].namespace);
  const [link] = node.route.request(getLink({ name: "spare0" }));
  assert(link);
  const identity = linkIdentity(lab.nodes[0].namespace, "spare0");
  assert(identity !== undefined);
  const device = nodeDevice(node.route, link, identity);
  // Where the device is when it is looked at, and where the planted one is when it is moved.
  const hidden = place(opened.use(NetworkNamespace.create()));
  const pod = place(opened.use(NetworkNamespace.create()));
  const wanted = { name: "net1", index: 4711 };
  command(
    lab.nodes[0].namespace,
    `ip link set spare0 netns /proc/${Deno.pid}/fd/${hidden.namespace.fd} name net1`,
  );
  command(
    pod.namespace,
    `ip link add net1 index ${wanted.index} address ${device.mac} type veth peer name tap0`,
  );
  const before = linksOf(lab);
  const swapped = { namespace: hidden.namespace, route: pod.route };
  const error = assertThrows(() => giveBack(node, swapped, wanted, device));
  assert(isSandboxError(error, "DeviceLost"), `${error}`);
  assertEquals(linksOf(lab), before);
  assertEquals(
    command(hidden.namespace, "ip -o link").match(/ (dev\d+|net1)@/g)?.length,
    2,
  );
});

/**
 * A pod with CAP_NET_ADMIN that changes its own network: nobody else notices, `check()` does, and it can be removed.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask } from "../support/ask.ts";
import { command, ipLinks } from "../support/command.ts";
import {
  assertAsBefore,
  linksSettled,
  snapshot,
} from "../support/node_state.ts";
import { ipFrame, udpPacket } from "../support/frames.ts";
import { Wire } from "../support/packets.ts";
import { gatewayAddress, nodeAt, Pod } from "../support/pods.ts";
import { ETH0, Eye } from "./scene.ts";
import { until } from "../support/patience.ts";

let lab: Lab;
let node: LabNode;
let victim: Pod;
let owned: AsyncDisposableStack;
Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  victim = stack.use(await Pod.create(node, { name: "victim" }));
  owned = stack.move();
});
Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** What the pod does, and what `check()` has to say. */
const CHANGES: readonly (readonly [string, string, RegExp?])[] = [
  [
    "takes another MAC address",
    "ip link set eth0 address 02:00:00:00:00:99",
    /has MAC 02:00:00:00:00:99/,
  ],
  ["takes another MTU", "ip link set eth0 mtu 1400", /has MTU 1400/],
  ["sets its link down", "ip link set eth0 down", /is down/],
  ["drops its addresses", "ip addr flush dev eth0", /is missing/],
  [
    "takes the victim's address",
    "ip addr add VICTIM dev eth0; ip -6 addr add VICTIM6 dev eth0 nodad",
  ],
  ["drops its neighbours", "ip neigh del 10.244.1.1 dev eth0", /is missing/],
  ["drops its routes", "ip route flush dev eth0", /default route.*is missing/],
  ["deletes its link", "ip link del eth0", /is gone/],
  [
    "renames its link to that of the victim's host end",
    "ip link set eth0 down; ip link set eth0 name LINK; ip link set LINK up",
    /is missing/,
  ],
  [
    "gives its link the victim's alias",
    "ip link set eth0 alias podnet:node-1/VICTIMID",
  ],
  [
    "puts its link into a bridge",
    "ip link add br0 type bridge; ip link set br0 up; ip link set eth0 master br0",
  ],
  [
    "makes a macvlan of its link, and listens to all",
    "ip link add mv0 link eth0 type macvlan mode bridge; ip link set mv0 up; ip link set eth0 promisc on",
  ],
  [
    "makes links of its own, with names and indices of the node's",
    "ip link add LINK index 4242 type veth peer name pn-x; ip link set LINK up",
  ],
  [
    "forwards, believes routers, answers for others",
    "cd /proc/sys/net; echo 1 > ipv4/ip_forward; echo 2 > ipv6/conf/eth0/accept_ra; echo 1 > ipv4/conf/eth0/proxy_arp",
  ],
];

/** With what stands for the victim's own. */
function asTold(line: string): string {
  return line.replaceAll("VICTIMID", victim.sandbox.id)
    .replaceAll("VICTIM6", victim.address(6))
    .replaceAll("VICTIM", victim.address(4))
    .replaceAll("LINK", victim.sandbox.hostInterface ?? "");
}

function assertVictimServed(): void {
  for (const family of [4, 6] as const) {
    using server = victim.serve("udp", family, 9000);
    const to = { address: victim.address(family), port: 9000 };
    const answer = ask("udp", node.namespace, to, [server]);
    assertEquals(typeof answer === "object" && answer.server, "victim");
  }
}

async function complaints(): Promise<string> {
  return (await node.node.check())
    .map((finding) => JSON.stringify(finding)).join("\n");
}

for (const [what, line, complaint] of CHANGES) {
  Deno.test(`a pod ${what} | a link of its own | nobody else notices, check() says what there is to say, it can be removed`, async () => {
    const before = await snapshot(node);
    const pod = await Pod.create(node, { name: "attacker" });
    command(pod.namespace, asTold(line));
    const found = await complaints();
    if (complaint !== undefined) assertMatch(found, complaint);
    assert(!found.includes(victim.sandbox.id), found);
    assertVictimServed();
    await pod[Symbol.asyncDispose]();
    await assertAsBefore(node, before);
    assertEquals(await complaints(), "");
  });
}

/** A namespace below the pod's, which a process holds. */
function nested(pod: Pod): Deno.ChildProcess {
  return pod.sandbox.spawn("unshare", {
    args: ["--net", "sleep", "600"],
    stdin: "null",
  });
}

/** Moves the pod's link to the child's namespace, once there is one. */
async function moveAway(pod: Pod, child: Deno.ChildProcess): Promise<void> {
  const inNested = () =>
    Deno.readLinkSync(`/proc/${child.pid}/ns/net`) !== pod.namespace.id;
  while (!inNested()) await new Promise((done) => setTimeout(done, 1));
  command(pod.namespace, `ip link set eth0 netns ${child.pid}`);
}

/** Whether the node hears what is sent as a removed pod by the link that is left of it. */
async function isHeard(pod: Pod, pid: number): Promise<boolean> {
  using namespace = NetworkNamespace.fromPid(pid);
  command(namespace, "ip link set eth0 up");
  using eye = Eye.onStack(node.namespace);
  const send = (from: Pod, by: NetworkNamespace) => {
    using wire = new Wire(by, ETH0);
    const mark = crypto.getRandomValues(new Uint8Array(16));
    const flow = {
      from: { address: from.address(4), port: 53 },
      to: { address: gatewayAddress(4), port: 9 },
    };
    wire.send(ipFrame(udpPacket(flow, mark)));
    return mark;
  };
  const mark = send(pod, namespace);
  const honest = send(victim, victim.namespace);
  await until(() => eye.saw(honest), "the honest packet did not arrive");
  await new Promise((done) => setTimeout(done, 4));
  return eye.saw(mark);
}

for (const force of [false, true]) {
  Deno.test(
    `a pod moves its link to a namespace that outlives it | ${
      force
        ? "remove({ force })"
        : "the address claim, not the link, is the pod's"
    } | ${
      force
        ? "the link is gone at once"
        : "the address is free at once, the link goes with the process"
    }`,
    async () => {
      const before = await snapshot(node);
      const pod = await Pod.create(node, { name: "attacker" });
      const { hostInterface } = pod.sandbox;
      const child = nested(pod);
      try {
        await moveAway(pod, child);
        assertMatch(await complaints(), /is gone|is missing/);
        assertVictimServed();
        pod.namespace[Symbol.dispose]();
        await pod.sandbox.remove({ force });
        const links = ipLinks(node.namespace).map(({ ifname }) => ifname);
        assertEquals(links.includes(hostInterface ?? ""), !force);
        assertEquals(
          command(node.namespace, `ip route show ${pod.address(4)}`),
          "",
        );
        if (!force) assertEquals(await isHeard(pod, child.pid), false);
      } finally {
        child.kill("SIGKILL");
        await child.status;
      }
      await linksSettled(node);
      await assertAsBefore(node, before);
    },
  );
}

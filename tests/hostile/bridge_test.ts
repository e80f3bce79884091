/**
 * A pod that is on a bridge, too, cannot get past the guard of the routed links by that way.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { InterfaceSpec } from "../../mod.ts";
import { HOST_MAC } from "../../src/attachment/pod_link.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { FAMILIES } from "../support/ask.ts";
import type { BridgeAttachment } from "../support/bridged.ts";
import { command } from "../support/command.ts";
import { icmpPacket, ipFrame, udpPacket } from "../support/frames.ts";
import { CraftingLink, Sniffer, Wire } from "../support/packets.ts";
import {
  byFamily,
  gatewayAddress,
  loopbackAddress,
  nodeAddress,
  nodeAt,
  outsideAddress,
  Pod,
} from "../support/pods.ts";
import type { Family } from "../support/sockets.ts";
import { ETH0, Eye } from "./scene.ts";
import { until } from "../support/patience.ts";

const HONEST_PORT = 5000;
/** How long a packet may be on its way after one that was sent later. */
const STRAGGLER_MS = 5;

let lab: Lab;
let node: LabNode;
let attacker: Pod;
let victim: Pod;
let owned: AsyncDisposableStack;

/** Where the node is a router, where it is not, and one that podnet did not make. */
const BRIDGES = ["routed0", "apart0", "user0"] as const;
type Bridge = typeof BRIDGES[number];
/** Of the pod on them, and of the node on the user's and podnet's. */
const own: Readonly<Record<Bridge, (family: Family) => string>> = {
  routed0: byFamily("10.88.0.11", "fd88::11"),
  apart0: byFamily("10.89.0.11", "fd89::11"),
  user0: byFamily("10.90.0.11", "fd90::11"),
};

function on(
  bridge: Bridge,
  nodeAddresses: readonly string[],
): InterfaceSpec {
  const attachment: BridgeAttachment = {
    type: "bridge",
    bridge,
    nodeAddresses,
    // What is to be shown must not depend on it.
    macSpoofCheck: false,
  };
  return {
    name: bridge,
    attachment,
    addresses: [`${own[bridge](4)}/24`, `${own[bridge](6)}/64`],
  };
}

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  command(
    node.namespace,
    `ip link add user0 type bridge
     ip addr add 10.90.0.1/24 dev user0
     ip addr add fd90::1/64 dev user0 nodad
     ip link set user0 up`,
  );
  attacker = stack.use(
    await Pod.create(node, {
      name: "attacker",
      interfaces: [
        on("routed0", ["10.88.0.1/24", "fd88::1/64"]),
        on("apart0", []),
        on("user0", ["10.90.0.1/24", "fd90::1/64"]),
      ],
    }),
  );
  victim = stack.use(await Pod.create(node, { name: "victim" }));
  owned = stack.move();
});
Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

function bridged(filtered: boolean): void {
  command(
    node.namespace,
    `for f in iptables ip6tables; do
       echo ${Number(filtered)} > /proc/sys/net/bridge/bridge-nf-call-$f
     done`,
  );
}

function macOf(namespace: NetworkNamespace, link: string): MacAddress {
  const [, mac = ""] = /ether (\S+)/.exec(
    command(namespace, `ip -o link show ${link}`),
  ) ?? [];
  return MacAddress.parse(mac);
}

function indexOf(namespace: NetworkNamespace, link: string): number {
  return Number(
    /^\d+/.exec(command(namespace, `ip -o link show ${link}`))?.[0],
  );
}

/** Pods of the node, there or not, the pod's own routed address too. */
function pods(family: Family): string[] {
  return [
    victim.address(family),
    attacker.address(family),
    gatewayAddress(family),
    family === 4 ? "10.244.1.250" : "fd00:10:244:1::250",
  ];
}

/** Everybody else. */
function others(family: Family): string[] {
  return [
    nodeAddress(family),
    outsideAddress(family),
    loopbackAddress(family),
    family === 4 ? "0.0.0.0" : "::",
    family === 4 ? "203.0.113.1" : "2001:db8::1",
    own.apart0(family),
  ];
}

/** Of these sources, those whose packets arrive. */
async function arriving(
  bridge: Bridge,
  family: Family,
  sources: readonly string[],
  host: { readonly namespace: NetworkNamespace },
  target: string,
): Promise<string[]> {
  const { namespace } = attacker;
  using link = new CraftingLink(
    namespace,
    indexOf(namespace, bridge),
    macOf(node.namespace, bridge),
  );
  using honest = new CraftingLink(namespace, ETH0, HOST_MAC);
  using sniffer = new Sniffer(host.namespace);
  const arrived: number[] = [];
  const to = (port: number) => ({ address: target, port });
  for (const transport of ["tcp", "udp"] as const) {
    for (const [i, address] of sources.entries()) {
      if (address === target) continue;
      const from = { address, port: 7 };
      link.send({ transport, from, to: to(HONEST_PORT + 1 + i) });
    }
    const from = { address: attacker.address(family), port: 7 };
    honest.send({ transport, from, to: to(HONEST_PORT) });
  }
  await until(() => {
    arrived.push(...sniffer.takeDestinationPorts());
    return arrived.filter((port) => port === HONEST_PORT).length === 2;
  }, "what is honest does not arrive");
  await new Promise((done) => setTimeout(done, STRAGGLER_MS));
  arrived.push(...sniffer.takeDestinationPorts());
  return [...new Set(arrived)].flatMap((port) =>
    port === HONEST_PORT ? [] : sources[port - HONEST_PORT - 1] ?? []
  ).sort();
}

for (const filtered of [true, false]) {
  for (const family of FAMILIES) {
    const how = `ipv${family}, br_netfilter ${filtered ? "on" : "off"}`;
    Deno.test(`S4 by a bridge nobody passes for a pod of the node, and by podnet's for nobody else (${how})`, async () => {
      bridged(filtered);
      const targets = [
        [victim, victim.address(family)],
        [node, nodeAddress(family)],
        [node, gatewayAddress(family)],
        [lab.outside, outsideAddress(family)],
      ] as const;
      const honest = {
        routed0: [own.routed0(family)],
        apart0: [],
        user0: [own.user0(family)],
      };
      for (const bridge of BRIDGES) {
        const foreign = bridge === "user0" ? [] : others(family);
        const sources = [...pods(family), ...foreign, own[bridge](family)];
        for (const [host, target] of targets) {
          assertEquals(
            await arriving(bridge, family, sources, host, target),
            honest[bridge],
            `${bridge} to ${target}`,
          );
        }
      }
    });
  }

  Deno.test(
    `S12 by a bridge of podnet's nobody ends others' connections with ICMP errors (br_netfilter ${
      filtered ? "on" : "off"
    })`,
    async () => {
      bridged(filtered);
      for (const family of FAMILIES) {
        assertEquals(await errorArrives(family), false, `IPv${family}`);
      }
    },
  );
}

Deno.test("without the node's guard all of that would arrive", async () => {
  bridged(false);
  command(node.namespace, "nft flush chain inet podnet guard");
  const from = victim.address(6);
  const strange = "2001:db8::1";
  const tried = async (bridge: Bridge, source: string) =>
    await arriving(bridge, 6, [source], node, nodeAddress(6));
  assertEquals(await tried("user0", from), [from]);
  assertEquals(await tried("routed0", strange), [strange]);
  for (const family of FAMILIES) {
    assertEquals(await errorArrives(family), true, `IPv${family}`);
  }
  await node.node.repair();
  assertEquals(await tried("user0", from), []);
});

/** Whether a forged error, about a packet that the victim has sent elsewhere, arrives at it by `routed0`; an honest one does. */
async function errorArrives(family: Family): Promise<boolean> {
  const { namespace } = attacker;
  using wire = new Wire(namespace, indexOf(namespace, "routed0"));
  using eye = Eye.onLinks(victim.namespace);
  const send = (about: string, mark: Uint8Array) =>
    wire.send(ipFrame(
      icmpPacket(
        { from: own.routed0(family), to: victim.address(family) },
        {
          type: family === 4 ? 3 : 1,
          body: udpPacket({
            from: { address: victim.address(family), port: 4000 },
            to: { address: about, port: 53 },
          }, mark),
        },
      ),
      { to: macOf(node.namespace, "routed0") },
    ));
  const forged = crypto.getRandomValues(new Uint8Array(16));
  const honest = crypto.getRandomValues(new Uint8Array(16));
  send(outsideAddress(family), forged);
  send(own.routed0(family), honest);
  await until(() => eye.saw(honest), "an honest error does not arrive");
  await new Promise((done) => setTimeout(done, STRAGGLER_MS));
  return eye.saw(forged);
}

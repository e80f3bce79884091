/**
 * A pod that lies about who is who on a link: ARP, neighbour discovery, router advertisements, redirects. Each line is
 * an attack, what stops it, and what comes of it.
 *
 * @module
 */
import { MacAddress } from "../../src/net/mac.ts";
import { command } from "../support/command.ts";
import {
  addressBytes,
  arp,
  BROADCAST_MAC,
  type Bytes,
  concat,
  ETHERTYPE,
  FOREIGN_MAC,
  frame,
  icmpPacket,
  ipFrame,
  linkLayerOption,
  uint32,
} from "../support/frames.ts";
import {
  gatewayAddress,
  nodeAddress,
  otherNodeAddress,
  outsideAddress,
} from "../support/pods.ts";
import {
  commandDefence,
  type Defence,
  ruleDefence,
  Scene,
  sysctlDefence,
  testAttacks,
} from "./scene.ts";

let scene: Scene;
Deno.test.beforeAll(async () => {
  scene = await Scene.create();
});
Deno.test.afterAll(() => scene[Symbol.asyncDispose]().then());

const OWN_SOURCE = ruleDefence("guard", "fib saddr . iif oif missing drop");
const attackerLink = (scene: Scene) => scene.linkOf(scene.attacker);
const NOBODY = MacAddress.parse("00:00:00:00:00:00");
const ALL_NODES = "ff02::1";
/** Where the kernel expects neighbour discovery to come from, at its nearest (RFC 4861, 7.1). */
const NEAREST = 255;

const REVERSE_PATH = sysctlDefence("rp_filter", (scene) => ({
  "ipv4/conf/all/rp_filter": "0",
  [`ipv4/conf/${attackerLink(scene)}/rp_filter`]: "0",
}));

const ARP_FILTER = sysctlDefence("arp_filter", (scene) => ({
  [`ipv4/conf/${attackerLink(scene)}/arp_filter`]: "0",
}));

/** The pod's own address could move to another MAC only if its entry could. */
function permanent(family: 4 | 6): Defence {
  const entry = (scene: Scene) =>
    `ip neigh replace ${scene.attacker.address(family)} dev ${
      attackerLink(scene)
    } lladdr ${scene.attacker.sandbox.mac}`;
  return commandDefence(
    "permanent neighbour",
    (scene) => `${entry(scene)} nud stale`,
    (scene) => `${entry(scene)} nud permanent`,
  );
}

/** Who has no address on a link is not asked for it there. */
const NO_ADDRESS = commandDefence(
  "no address on the link",
  (scene) =>
    `ip addr add ${gatewayAddress(6)} dev ${attackerLink(scene)} nodad`,
  (scene) => `ip addr del ${gatewayAddress(6)} dev ${attackerLink(scene)}`,
);

/** The MAC that the node has for an address on the attacker's link. */
function neighbours(scene: Scene): string {
  return command(
    scene.node.namespace,
    `ip neigh show dev ${attackerLink(scene)}`,
  );
}

/** Sends the frames, and waits until the node has taken them all. */
async function sendAll(scene: Scene, frames: readonly Bytes[]): Promise<void> {
  await scene.arrives(scene.targetNode(4), () => frames);
}

testAttacks(() => scene, [
  ...(["request", "reply"] as const).map((operation) => ({
    name: `an ARP ${operation} that gives the pod's address a foreign MAC`,
    alone: [permanent(4)],
    attempt: async (scene: Scene) => {
      await sendAll(scene, [
        frame(
          ETHERTYPE.arp,
          arp({
            operation,
            sender: [FOREIGN_MAC, scene.attacker.address(4)],
            // A reply that nobody asked for has the sender as its target, too.
            target: operation === "request"
              ? [NOBODY, gatewayAddress(4)]
              : [FOREIGN_MAC, scene.attacker.address(4)],
          }),
        ),
      ]);
      return neighbours(scene).includes(String(FOREIGN_MAC));
    },
  })),
  {
    name:
      "a neighbour advertisement that gives the pod's address a foreign MAC",
    alone: [permanent(6)],
    attempt: async (scene) => {
      const own = scene.attacker.address(6);
      await sendAll(scene, [
        ipFrame(
          icmpPacket({ from: own, to: gatewayAddress(6), hopLimit: NEAREST }, {
            type: 136,
            rest: uint32(0x6000_0000), // solicited, override
            body: concat(addressBytes(own), linkLayerOption(2, FOREIGN_MAC)),
          }),
        ),
      ]);
      return neighbours(scene).includes(String(FOREIGN_MAC));
    },
  },
  {
    name: "a neighbour solicitation that gives the pod's address a foreign MAC",
    alone: [permanent(6), NO_ADDRESS],
    attempt: async (scene) => {
      await sendAll(scene, [solicitation(scene.attacker.address(6))]);
      return neighbours(scene).includes(String(FOREIGN_MAC));
    },
  },
]);

/** Asks for the node's MAC, and gives that of the asker. */
function solicitation(from: string): Bytes {
  return ipFrame(
    icmpPacket({ from, to: gatewayAddress(6), hopLimit: NEAREST }, {
      type: 135,
      body: concat(
        addressBytes(gatewayAddress(6)),
        linkLayerOption(1, FOREIGN_MAC),
      ),
    }),
  );
}

/** Neighbours that podnet has not made itself. */
function learnt(scene: Scene, prefix: string): boolean {
  return neighbours(scene).split("\n").some((line) =>
    line.startsWith(prefix) && !line.includes("PERMANENT")
  );
}

testAttacks(() => scene, [
  {
    name: "ARP requests from many addresses, to fill the node's table",
    alone: [REVERSE_PATH, ARP_FILTER],
    attempt: async (scene) => {
      await sendAll(
        scene,
        Array.from({ length: 8 }, (_, i) =>
          frame(
            ETHERTYPE.arp,
            arp({
              operation: "request",
              sender: [FOREIGN_MAC, `192.168.50.${100 + i}`],
              target: [NOBODY, gatewayAddress(4)],
            }),
            { to: BROADCAST_MAC },
          )),
      );
      return learnt(scene, "192.168.50.");
    },
  },
  {
    name:
      "neighbour solicitations from many addresses, to fill the node's table",
    alone: [OWN_SOURCE, NO_ADDRESS],
    attempt: async (scene) => {
      await sendAll(
        scene,
        Array.from({ length: 8 }, (_, i) => solicitation(`2001:db8::${i + 1}`)),
      );
      return learnt(scene, "2001:db8::");
    },
  },
]);

/** A default route, and a prefix to make addresses from (RFC 4861, 4.2). */
function advertisement(): Bytes {
  return ipFrame(
    icmpPacket({ from: "fe80::bad", to: ALL_NODES, hopLimit: NEAREST }, {
      type: 134,
      rest: Uint8Array.of(64, 0, 0x07, 0x08),
      body: concat(
        uint32(0),
        uint32(0),
        [3, 4, 64, 0xc0],
        uint32(0xffff),
        uint32(0xffff),
        uint32(0),
        addressBytes("2001:db8:bad::"),
      ),
    }),
    { to: MacAddress.parse("33:33:00:00:00:01") },
  );
}

testAttacks(() => scene, [
  {
    name: "a router advertisement (CVE-2020-10749)",
    alone: [
      OWN_SOURCE,
      sysctlDefence("a link that forwards", (scene) => ({
        [`ipv6/conf/${attackerLink(scene)}/accept_ra`]: "2",
      })),
    ],
    attempt: async (scene) => {
      await sendAll(scene, [advertisement()]);
      const { namespace } = scene.node;
      const believed = command(namespace, "ip -6 route show proto ra") !== "";
      command(
        namespace,
        "ip -6 route flush proto ra; ip -6 addr flush dynamic",
      );
      return believed;
    },
  },
]);

/** A packet of the node's own, as an ICMP error would bring it back. */
function nodesPacket(family: 4 | 6, to: string): Bytes {
  return icmpPacket(
    { from: nodeAddress(family), to },
    { type: family === 4 ? 8 : 128, rest: uint32(0x0001_0001) },
  );
}

/** An address that the node has a router to. */
const FAR = "203.0.113.9";

testAttacks(() => scene, [
  {
    name: "a redirect as the node's router (ipv4)",
    alone: [
      ruleDefence("guard", "icmp type"),
      OWN_SOURCE,
      REVERSE_PATH,
      sysctlDefence("accept_redirects 0 on the link", (scene) => ({
        "ipv4/conf/all/accept_redirects": "1",
        [`ipv4/conf/${attackerLink(scene)}/accept_redirects`]: "1",
        [`ipv4/conf/${attackerLink(scene)}/secure_redirects`]: "0",
      })),
    ],
    attempt: async (scene) => {
      const { namespace } = scene.node;
      const route = `${FAR} via ${outsideAddress(4)}`;
      // The kernel follows to a router that it has a neighbour for.
      const other = `ip neigh replace ${otherNodeAddress(4)} dev eth0`;
      command(
        namespace,
        `ip route replace ${route}; ${other} lladdr ${FOREIGN_MAC}`,
      );
      await sendAll(scene, [
        ipFrame(
          icmpPacket({ from: outsideAddress(4), to: nodeAddress(4) }, {
            type: 5,
            code: 1,
            rest: addressBytes(otherNodeAddress(4)),
            body: nodesPacket(4, FAR),
          }),
        ),
      ]);
      const followed = command(namespace, `ip route get ${FAR}`)
        .includes(` via ${otherNodeAddress(4)} `);
      command(namespace, `ip route del ${route}`);
      return followed;
    },
  },
]);

testAttacks(() => scene, [
  {
    name: "a redirect as a router (ipv6)",
    alone: [
      OWN_SOURCE,
      sysctlDefence("forwarding on", (scene) => ({
        [`ipv6/conf/${attackerLink(scene)}/forwarding`]: "0",
      })),
    ],
    attempt: async (scene) => {
      const { namespace } = scene.node;
      const link = attackerLink(scene);
      const router = "fe80::bad";
      const far = "2001:db8:5::9";
      // As where the node has a router behind this very link, which the kernel wants to hear it from.
      command(
        namespace,
        `ip -6 route replace ${far} via ${router} dev ${link} onlink`,
      );
      await sendAll(scene, [
        ipFrame(
          icmpPacket(
            { from: router, to: gatewayAddress(6), hopLimit: NEAREST },
            {
              type: 137,
              body: concat(
                addressBytes("fe80::b0b"),
                addressBytes(far),
                linkLayerOption(2, FOREIGN_MAC),
                redirectedHeader(nodesPacket(6, far)),
              ),
            },
          ),
        ),
      ]);
      const followed = command(namespace, `ip -6 route get ${far}`)
        .includes("fe80::b0b");
      command(namespace, `ip -6 route del ${far} dev ${link}`);
      return followed;
    },
  },
]);

/** RFC 4861, 4.6.3. */
function redirectedHeader(packet: Bytes): Bytes {
  const padding = new Uint8Array((8 - packet.length % 8) % 8);
  const units = (8 + packet.length + padding.length) / 8;
  return concat([4, units, 0, 0, 0, 0, 0, 0], packet, padding);
}

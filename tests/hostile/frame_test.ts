/**
 * Frames and packets that are not what they seem: tags, tunnels, options and extension headers before what a filter
 * would look at. Each line is an attack, what stops it, and what comes of it.
 *
 * @module
 */
import { FAMILIES } from "../support/ask.ts";
import {
  addressBytes,
  BROADCAST_MAC,
  type Bytes,
  concat,
  ETHERTYPE,
  familyName,
  FOREIGN_MAC,
  frame,
  ipFrame,
  ipPacket,
  paddingHeader,
  PROTOCOL,
  udp,
  udpPacket,
  uint16,
  uint32,
} from "../support/frames.ts";
import { gatewayAddress, loopbackAddress } from "../support/pods.ts";
import type { Family } from "../support/sockets.ts";
import {
  ruleDefence,
  Scene,
  sysctlDefence,
  testAttacks,
  testHopeless,
} from "./scene.ts";

let scene: Scene;
Deno.test.beforeAll(async () => {
  scene = await Scene.create();
});
Deno.test.afterAll(() => scene[Symbol.asyncDispose]().then());

const OWN_SOURCE = ruleDefence("guard", "fib saddr . iif oif missing drop");
const TO_LOOPBACK = ruleDefence("guard", "ip daddr 127.0.0.0/8 drop");
const FROM_LOOPBACK = ruleDefence("guard", "ip saddr 127.0.0.0/8 drop");
const attackerLink = (scene: Scene) => scene.linkOf(scene.attacker);

/** As an administrator, or another program, might. */
const NO_ROUTE_LOCALNET = sysctlDefence("route_localnet 0", () => ({
  "ipv4/conf/all/route_localnet": "1",
}));
const REVERSE_PATH = sysctlDefence("rp_filter", (scene) => ({
  "ipv4/conf/all/rp_filter": "0",
  [`ipv4/conf/${attackerLink(scene)}/rp_filter`]: "0",
}));

function datagram(from: string, to: string, mark: Bytes): Bytes {
  return udpPacket(
    { from: { address: from, port: 53 }, to: { address: to, port: 9 } },
    mark,
  );
}

/** What a pod may say, to the node. */
function honest(scene: Scene, family: Family, mark: Bytes): Bytes {
  return datagram(
    scene.attacker.address(family),
    gatewayAddress(family),
    mark,
  );
}

testAttacks(() => scene, [
  {
    name: "a datagram to 127.0.0.1 of the node (CVE-2020-8558)",
    alone: [TO_LOOPBACK, NO_ROUTE_LOCALNET],
    attempt: (scene) =>
      scene.arrives(scene.targetNode(4), (mark) => [
        ipFrame(datagram(scene.attacker.address(4), "127.0.0.1", mark)),
      ]),
  },
  {
    name: "a datagram from 127.9.9.9 to the node",
    alone: [FROM_LOOPBACK, OWN_SOURCE],
    together: [NO_ROUTE_LOCALNET, REVERSE_PATH],
    attempt: (scene) =>
      scene.arrives(scene.targetNode(4), (mark) => [
        ipFrame(datagram("127.9.9.9", gatewayAddress(4), mark)),
      ]),
  },
]);

/** The only route that is left is by 127.0.0.1, or another address (RFC 791, 3.1). */
function looseSourceRoute(by: string): Bytes {
  return concat([131, 7, 4], addressBytes(by), [0]);
}

testAttacks(() => scene, [{
  name: "a source route by the node to another pod",
  alone: [
    sysctlDefence("accept_source_route 0 on all links", () => ({
      "ipv4/conf/all/accept_source_route": "1",
    })),
    sysctlDefence("accept_source_route 0 on the link", (scene) => ({
      [`ipv4/conf/${attackerLink(scene)}/accept_source_route`]: "1",
    })),
  ],
  attempt: (scene) =>
    scene.arrives(scene.targetVictim(4), (mark) => [
      ipFrame(
        udpPacket(
          {
            from: { address: scene.attacker.address(4), port: 53 },
            to: { address: gatewayAddress(4), port: 9 },
          },
          mark,
          { options: looseSourceRoute(scene.victim.address(4)) },
        ),
      ),
    ], "onLinks"),
}]);

/** A routing header that leads on to `by` (RFC 8200, 4.4). */
function routingHeader(type: number, by: string, payload: Bytes): Bytes {
  return concat(
    [PROTOCOL.udp, 2, type, 1],
    uint32(0),
    addressBytes(by),
    payload,
  );
}

testHopeless(
  () => scene,
  [0, 2].map((type) => ({
    name: `an IPv6 routing header of type ${type} to another pod`,
    by: "the kernel",
    attempt: (scene) =>
      scene.arrives(scene.targetVictim(6), (mark) => [
        ipFrame(
          ipPacket({
            from: scene.attacker.address(6),
            to: gatewayAddress(6),
            protocol: PROTOCOL.routing,
            payload: routingHeader(
              type,
              scene.victim.address(6),
              udp({
                from: { address: scene.attacker.address(6), port: 53 },
                to: { address: scene.victim.address(6), port: 9 },
              }, mark),
            ),
          }),
        ),
      ]),
    elsewhere: "with no way left to go",
    control: (scene) =>
      scene.arrives(scene.targetNode(6), (mark) => [
        ipFrame(
          ipPacket({
            from: scene.attacker.address(6),
            to: gatewayAddress(6),
            protocol: PROTOCOL.routing,
            payload: routingHeader(
              type,
              scene.victim.address(6),
              udp({
                from: { address: scene.attacker.address(6), port: 53 },
                to: { address: gatewayAddress(6), port: 9 },
              }, mark),
            ).with(3, 0),
          }),
        ),
      ]),
  })),
);

testHopeless(() => scene, [
  {
    name: "a datagram to ::1 of the node",
    by: "the kernel",
    attempt: (scene) =>
      scene.arrives(scene.targetNode(6), (mark) => [
        ipFrame(datagram(scene.attacker.address(6), "::1", mark)),
      ]),
    elsewhere: "to the gateway address",
    control: (scene) =>
      scene.arrives(
        scene.targetNode(6),
        (mark) => [ipFrame(honest(scene, 6, mark))],
      ),
  },
  ...["::1", "::ffff:10.244.1.1", "ff02::1"].map((source) => ({
    name: `a datagram from ${source} to the node`,
    by: "the kernel",
    attempt: (scene: Scene) =>
      scene.arrives(scene.targetNode(6), (mark) => [
        ipFrame(datagram(source, gatewayAddress(6), mark)),
      ]),
    elsewhere: "from the pod's own address",
    control: (scene: Scene) =>
      scene.arrives(
        scene.targetNode(6),
        (mark) => [ipFrame(honest(scene, 6, mark))],
      ),
  })),
  {
    name: "a datagram from 255.255.255.255 to the node",
    by: "the kernel",
    attempt: (scene) =>
      scene.arrives(scene.targetNode(4), (mark) => [
        ipFrame(datagram("255.255.255.255", gatewayAddress(4), mark)),
      ]),
    elsewhere: "from the pod's own address",
    control: (scene) =>
      scene.arrives(
        scene.targetNode(4),
        (mark) => [ipFrame(honest(scene, 4, mark))],
      ),
  },
  {
    name: "a frame to somebody else's MAC address",
    by: "the kernel",
    attempt: (scene) =>
      scene.arrives(
        scene.targetNode(4),
        (mark) => [ipFrame(honest(scene, 4, mark), { to: FOREIGN_MAC })],
      ),
    elsewhere: "to the link's",
    control: (scene) =>
      scene.arrives(
        scene.targetNode(4),
        (mark) => [ipFrame(honest(scene, 4, mark))],
      ),
  },
]);

/** What is put before a packet to lead it past a filter. */
const WRAPPINGS: readonly (readonly [string, (packet: Bytes) => Bytes])[] = [
  ["an 802.1Q tag of VLAN 7", (p) => tagged(ETHERTYPE.vlan, 7, p)],
  ["an 802.1ad tag of VLAN 7", (p) => tagged(ETHERTYPE.qinq, 7, p)],
  [
    "an MPLS label",
    (p) => frame(ETHERTYPE.mpls, concat(uint32(16 << 12 | 0x1ff), p)),
  ],
  ["the type of LLDP", (p) => frame(ETHERTYPE.lldp, p)],
];

function tagged(type: number, vlan: number, packet: Bytes): Bytes {
  const inner = (packet[0] ?? 0) >> 4 === 4 ? ETHERTYPE[4] : ETHERTYPE[6];
  return frame(type, concat(uint16(vlan), uint16(inner), packet));
}

testHopeless(() => scene, [
  ...WRAPPINGS.map(([name, wrap]) => ({
    name: `a datagram behind ${name}`,
    by: "the kernel",
    attempt: (scene: Scene) =>
      scene.arrives(
        scene.targetNode(4),
        (mark) => [wrap(honest(scene, 4, mark))],
      ),
    elsewhere: "without it",
    control: (scene: Scene) =>
      scene.arrives(
        scene.targetNode(4),
        (mark) => [ipFrame(honest(scene, 4, mark))],
      ),
  })),
]);

testAttacks(() => scene, [
  // A tag of VLAN 0 is only a priority: the kernel takes it off.
  ...FAMILIES.map((family) => ({
    name: `another pod's address behind a priority tag (${familyName(family)})`,
    alone: family === 4 ? [OWN_SOURCE, REVERSE_PATH] : [OWN_SOURCE],
    attempt: (scene: Scene) =>
      scene.arrives(scene.targetNode(family), (mark) => [
        tagged(
          ETHERTYPE.vlan,
          0,
          datagram(scene.victim.address(family), gatewayAddress(family), mark),
        ),
      ]),
  })),
  ...FAMILIES.map((family) => ({
    name: `another pod's address in a frame to everybody (${
      familyName(family)
    })`,
    alone: family === 4 ? [OWN_SOURCE, REVERSE_PATH] : [OWN_SOURCE],
    attempt: (scene: Scene) =>
      scene.arrives(scene.targetNode(family), (mark) => [
        ipFrame(
          datagram(scene.victim.address(family), gatewayAddress(family), mark),
          { to: BROADCAST_MAC },
        ),
      ]),
  })),
  {
    name: "another pod's address behind extension headers (ipv6)",
    alone: [OWN_SOURCE],
    attempt: (scene) =>
      scene.arrives(
        scene.targetNode(6),
        (mark) => [behindHeaders(scene.victim.address(6), mark)],
      ),
  },
]);

/** Hop-by-hop and destination options before the datagram. */
function behindHeaders(from: string, mark: Bytes): Bytes {
  return ipFrame(
    ipPacket({
      from,
      to: gatewayAddress(6),
      protocol: PROTOCOL.hopByHop,
      payload: paddingHeader(
        PROTOCOL.destinationOptions,
        paddingHeader(
          PROTOCOL.udp,
          udp({
            from: { address: from, port: 53 },
            to: { address: gatewayAddress(6), port: 9 },
          }, mark),
        ),
      ),
    }),
  );
}

/** Nobody at the node takes tunnels apart: it has no end of one. */
testHopeless(
  () => scene,
  [
    ["IPv4 in IPv4", PROTOCOL.ipip, 4],
    ["IPv6 in IPv4", PROTOCOL.ipv6, 6],
    ["IPv4 in GRE", PROTOCOL.gre, 4],
  ].map(([name, protocol, inner]) => ({
    name: `${name} to the node, with a foreign address inside`,
    by: "no tunnel on the node",
    attempt: (scene: Scene) =>
      scene.arrives(scene.targetNode(4), (mark) => {
        const family: Family = inner === 6 ? 6 : 4;
        const packet = datagram(
          scene.victim.address(family),
          loopbackAddress(family),
          mark,
        );
        return [
          ipFrame(
            ipPacket({
              from: scene.attacker.address(4),
              to: gatewayAddress(4),
              protocol: Number(protocol),
              payload: protocol === PROTOCOL.gre
                ? concat([0, 0], uint16(ETHERTYPE[4]), packet)
                : packet,
            }),
          ),
        ];
      }, "onUdp"),
    elsewhere: "not in a tunnel",
    control: (scene: Scene) =>
      scene.arrives(
        scene.targetNode(4),
        (mark) => [ipFrame(honest(scene, 4, mark))],
        "onUdp",
      ),
  })),
);

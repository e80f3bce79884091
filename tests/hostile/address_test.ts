/**
 * A pod that writes addresses into its packets that are not its own, or not whole: each line is an attack, what stops
 * it, and what comes of it.
 *
 * @module
 */
import {
  type Bytes,
  familyName,
  icmpPacket,
  internetChecksum,
  ipFrame,
  ipPacket,
  PROTOCOL,
  udp,
  udpPacket,
} from "../support/frames.ts";
import { FAMILIES } from "../support/ask.ts";
import type { Family } from "../support/sockets.ts";
import { Wire } from "../support/packets.ts";
import { gatewayAddress, outsideAddress } from "../support/pods.ts";
import {
  type Attack,
  chainDefence,
  type Defence,
  ETH0,
  ruleDefence,
  Scene,
  sysctlDefence,
  type Target,
  testAttacks,
  testHopeless,
} from "./scene.ts";

let scene: Scene;
Deno.test.beforeAll(async () => {
  scene = await Scene.create();
});
Deno.test.afterAll(() => scene[Symbol.asyncDispose]().then());

const OWN_SOURCE = ruleDefence("guard", "fib saddr . iif oif missing drop");
const NO_ZERO = {
  4: ruleDefence("guard", "ip saddr 0.0.0.0 drop"),
  6: ruleDefence("guard", "ip6 saddr :: drop"),
} as const;
/** Strict; the kernel's check is of IPv4 only. */
const REVERSE_PATH = sysctlDefence("rp_filter", (scene) => ({
  "ipv4/conf/all/rp_filter": "0",
  [`ipv4/conf/${scene.linkOf(scene.attacker)}/rp_filter`]: "0",
}));

/** A datagram from `source` to the target, whatever else it is. */
function spoofed(
  source: string,
  to: string,
  mark: Bytes,
): Bytes {
  return udpPacket(
    { from: { address: source, port: 53 }, to: { address: to, port: 9 } },
    mark,
  );
}

/** Whom a pod pretends to be, towards whom. */
const DISGUISES: readonly (readonly [
  string,
  (scene: Scene, family: Family) => string,
  string,
  (scene: Scene, family: Family) => Target,
])[] = [
  [
    "another pod",
    (s, f) => s.victim.address(f),
    "the outside host",
    (s, f) => s.targetOutside(f),
  ],
  [
    "another pod",
    (s, f) => s.victim.address(f),
    "its node",
    (s, f) => s.targetNode(f),
  ],
  [
    "an outside host",
    (_, f) => outsideAddress(f),
    "another pod",
    (s, f) => s.targetVictim(f),
  ],
  [
    "nobody of the pod CIDR",
    (_, f) => f === 4 ? "10.244.1.250" : "fd00:10:244:1::250",
    "another pod",
    (s, f) => s.targetVictim(f),
  ],
];

testAttacks(
  () => scene,
  FAMILIES.flatMap((family) =>
    DISGUISES.map(([as, source, towards, target]): Attack => ({
      name: `a datagram as ${as} to ${towards} (${familyName(family)})`,
      alone: family === 4 ? [OWN_SOURCE, REVERSE_PATH] : [OWN_SOURCE],
      attempt: (scene) => {
        const to = target(scene, family);
        return scene.arrives(to, (mark) => [
          ipFrame(spoofed(source(scene, family), to.address, mark)),
        ]);
      },
    }))
  ),
);

/** 0.0.0.0 and :: are believed by a reverse path lookup where they ask for an address (nft_fib4_eval, nft_fib6_eval). */
testAttacks(() => scene, [
  {
    name: "a broadcast from 0.0.0.0 (ipv4)",
    alone: [NO_ZERO[4]],
    attempt: (scene) =>
      scene.arrives(scene.targetNode(4), (mark) => [
        ipFrame(spoofed("0.0.0.0", "255.255.255.255", mark)),
      ]),
  },
  {
    name: "a multicast from 0.0.0.0 (ipv4)",
    alone: [NO_ZERO[4]],
    attempt: (scene) =>
      scene.arrives(scene.targetNode(4), (mark) => [
        ipFrame(spoofed("0.0.0.0", "224.0.0.1", mark)),
      ]),
  },
  {
    name: "a neighbour solicitation from :: (ipv6)",
    alone: [NO_ZERO[6]],
    attempt: (scene) =>
      scene.arrives(scene.targetNode(6), (mark) => [
        ipFrame(
          icmpPacket(
            { from: "::", to: "ff02::1", hopLimit: 255 },
            { type: 135, body: mark },
          ),
        ),
      ]),
  },
  {
    name: "a datagram from a link-local address (ipv6)",
    alone: [OWN_SOURCE],
    attempt: (scene) =>
      scene.arrives(
        scene.targetNode(6),
        (mark) => [ipFrame(spoofed("fe80::bad", gatewayAddress(6), mark))],
      ),
  },
]);

/** Pieces of one datagram of 24 bytes of data: 16 with the header, and the last 16, which are the mark. */
function pieces(
  from: string,
  to: string,
  mark: Bytes,
): [first: Bytes, second: Bytes] {
  const whole = udp(
    { from: { address: from, port: 53 }, to: { address: to, port: 9 } },
    new Uint8Array([...new Uint8Array(8), ...mark]),
  );
  const id = new DataView(mark.buffer, mark.byteOffset).getUint16(0);
  const piece = (offset: number, more: boolean) =>
    ipFrame(
      ipPacket({
        from,
        to,
        protocol: PROTOCOL.udp,
        payload: whole.subarray(offset, more ? 16 : undefined),
        fragment: { id, offset, more },
      }),
    );
  return [piece(0, true), piece(16, false)];
}

/** The kernel puts pieces together at priority -400, whoever sent them. */
const GUARD_FIRST: Defence = chainDefence(
  ["guard"],
  "guard before reassembly (priority -450)",
  (chain) => chain.replace(/priority [^;]+;/, "priority -300;"),
);

testAttacks(
  () => scene,
  FAMILIES.map((family) => ({
    name: `a piece slipped into another pod's datagram (${familyName(family)})`,
    alone: [GUARD_FIRST],
    attempt: async (scene) => {
      using victims = new Wire(scene.victim.namespace, ETH0);
      return await scene.arrives(scene.targetNode(family), (mark) => {
        const [first, second] = pieces(
          scene.victim.address(family),
          gatewayAddress(family),
          mark,
        );
        scene.wire.send(second);
        victims.send(first);
        return [];
      });
    },
  })),
);

testHopeless(
  () => scene,
  FAMILIES.map((family) => {
    const own = (mark: Bytes) =>
      pieces(scene.attacker.address(family), gatewayAddress(family), mark);
    return {
      name: `a piece that overlaps another (${familyName(family)})`,
      by: "the kernel",
      attempt: (scene: Scene) =>
        scene.arrives(
          scene.targetNode(family),
          (mark) => [own(mark)[0], ...overlapping(own, mark)],
        ),
      elsewhere: "in its place",
      control: (scene: Scene) => scene.arrives(scene.targetNode(family), own),
    };
  }),
);

/** The last piece again, 8 bytes too early, and then as it should be. */
function overlapping(
  make: (mark: Bytes) => [Bytes, Bytes],
  mark: Bytes,
): Bytes[] {
  const [, last] = make(mark);
  const early = last.slice();
  const view = new DataView(early.buffer);
  if (early[12] === 0x08) {
    view.setUint16(14 + 6, 1);
    view.setUint16(14 + 10, 0);
    view.setUint16(14 + 10, internetChecksum(early.subarray(14, 34)));
  } else view.setUint16(14 + 40 + 2, 8);
  return [early, last];
}

/**
 * What a tunnel takes out of its packets comes past the guard: nobody but another node may send to one. Each attack fails
 * with every single defence, and succeeds without any.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isSandboxError } from "../../mod.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import type { LabHost } from "../../src/testing/mod.ts";
import { ask } from "../support/ask.ts";
import { command } from "../support/command.ts";
import {
  type Bytes,
  concat,
  ipFrame,
  ipPacket,
  PROTOCOL,
  udp,
  udpPacket,
  uint32,
} from "../support/frames.ts";
import { Wire } from "../support/packets.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { FAMILIES } from "../support/ask.ts";
import type { Family } from "../support/sockets.ts";
import { ETH0, Eye } from "./scene.ts";
import { until } from "../support/patience.ts";

/** How long a packet may be on its way after one that was sent later. */
const STRAGGLER_MS = 10;
const PORT = 8472;
const VNI = 112;

/** Two nodes with a router between them, and two pods on the first. */
class Battlefield implements AsyncDisposable {
  /** Of the tunnels. */
  readonly family: Family;
  readonly nodes: readonly LabNode[];
  readonly outside: LabHost;
  readonly attacker: Pod;
  readonly victim: Pod;
  readonly far: Pod;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    family: Family,
    nodes: readonly LabNode[],
    outside: LabHost,
    [attacker, victim, far]: readonly [Pod, Pod, Pod],
    owned: AsyncDisposableStack,
  ) {
    this.family = family;
    this.nodes = nodes;
    this.outside = outside;
    this.attacker = attacker;
    this.victim = victim;
    this.far = far;
    this.#owned = owned;
  }

  static async create(family: Family): Promise<Battlefield> {
    await using owned = new AsyncDisposableStack();
    const lab = owned.use(
      await createLab({ nodes: 2, segments: 2, underlay: [family], paths: {} }),
    );
    const [near, distant] = lab.nodes;
    const pods = [
      owned.use(await Pod.create(near, { name: "attacker" })),
      owned.use(await Pod.create(near, { name: "victim" })),
      owned.use(await Pod.create(distant, { name: "far" })),
    ] as const;
    return new Battlefield(
      family,
      lab.nodes,
      lab.outside,
      pods,
      owned.move(),
    );
  }

  node(index: number): LabNode {
    return nodeAt(this.nodes, index);
  }

  addressOf(host: LabHost): string {
    const [address = ""] = host.addresses;
    return address;
  }

  /** A packet of a tunnel to a node, with a packet inside that claims to be from another node's pod. */
  inside(index: 0 | 1, mark: Bytes): Bytes {
    const [victim, disguise] = index === 0
      ? [this.victim, this.far]
      : [this.far, this.victim];
    const { vxlan } = this.node(index).member;
    assert(vxlan !== undefined);
    return concat(
      [0x08, 0, 0, 0],
      uint32(VNI << 8),
      ipFrame(
        udpPacket({
          from: { address: disguise.address(4), port: 5000 },
          to: { address: victim.address(4), port: 7 },
        }, mark),
        { to: MacAddress.parse(vxlan.mac) },
      ),
    );
  }

  /** Whether what `send` sends gets to the victim of a node. */
  async reaches(index: 0 | 1, send: (inside: Bytes) => void): Promise<boolean> {
    const { namespace } = index === 0 ? this.victim : this.far;
    using eye = Eye.onUdp(namespace);
    const mark = crypto.getRandomValues(new Uint8Array(16));
    send(this.inside(index, mark));
    // What comes by an honest way comes later.
    const honest = crypto.getRandomValues(new Uint8Array(16));
    using wire = new Wire(this.attacker.namespace, ETH0);
    const [from, to] = [this.attacker, index === 0 ? this.victim : this.far];
    wire.send(ipFrame(udpPacket({
      from: { address: from.address(4), port: 5000 },
      to: { address: to.address(4), port: 7 },
    }, honest)));
    await until(() => eye.saw(honest), "the honest packet did not arrive");
    await new Promise((done) => setTimeout(done, STRAGGLER_MS));
    return eye.saw(mark);
  }

  /** Sends from the attacker's interface. */
  sendAsPod(to: string, inside: Bytes, from?: string): void {
    using wire = new Wire(this.attacker.namespace, ETH0);
    const source = from ?? this.attacker.address(this.family);
    wire.send(ipFrame(udpPacket({
      from: { address: source, port: 40000 },
      to: { address: to, port: PORT },
    }, inside)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

interface Rules {
  /** Whose. */
  readonly node: 0 | 1;
  readonly chain: string;
  /** In the rule, as nft prints it. */
  readonly words: string;
}

interface Attack {
  readonly name: string;
  /** Of whose pods one is the victim. */
  readonly victim: 0 | 1;
  /** Missing when over both. */
  readonly family?: Family;
  /** Each suffices alone. */
  readonly defences: readonly (readonly Rules[])[];
  readonly attempt: (field: Battlefield, inside: Bytes) => void;
  /** What makes it possible besides, and what ends it. */
  readonly before?: (field: Battlefield) => string;
  readonly after?: (field: Battlefield) => string;
}

const FROM_PODS = 'iifname "pn-*" drop';
const FROM_PODS_OUT = 'iifname "pn-*"';
const NO_PEER = "@tunnel_sources";

const ATTACKS: readonly Attack[] = [
  {
    name: "a pod sends to its own node's tunnel",
    victim: 0,
    defences: [
      [{ node: 0, chain: "into_tunnel", words: FROM_PODS }],
      [{ node: 0, chain: "into_tunnel", words: NO_PEER }],
    ],
    attempt: (field, inside) =>
      field.sendAsPod(field.addressOf(field.node(0)), inside),
  },
  {
    name: "a pod sends to its gateway, where the tunnel listens too",
    victim: 0,
    defences: [
      [{ node: 0, chain: "into_tunnel", words: FROM_PODS }],
      [{ node: 0, chain: "into_tunnel", words: NO_PEER }],
    ],
    attempt: (field, inside) =>
      field.sendAsPod(
        field.family === 4 ? "10.244.1.1" : "fd00:10:244:1::1",
        inside,
      ),
  },
  {
    name: "a pod sends to its own node's tunnel as another node",
    victim: 0,
    // Of IPv4 the pod's link filters reverse paths besides.
    family: 6,
    defences: [
      [{ node: 0, chain: "into_tunnel", words: FROM_PODS }],
      [{ node: 0, chain: "guard", words: "fib saddr . iif oif missing" }],
    ],
    attempt: (field, inside) =>
      field.sendAsPod(
        field.addressOf(field.node(0)),
        inside,
        field.addressOf(field.node(1)),
      ),
  },
  {
    name: "a pod cuts its packet in pieces",
    victim: 0,
    defences: [
      [{ node: 0, chain: "into_tunnel", words: FROM_PODS }],
      [{ node: 0, chain: "into_tunnel", words: NO_PEER }],
    ],
    attempt: (field, inside) => {
      const flow = {
        from: { address: field.attacker.address(field.family), port: 40000 },
        to: { address: field.addressOf(field.node(0)), port: PORT },
      };
      using wire = new Wire(field.attacker.namespace, ETH0);
      for (const packet of cutPackets(flow, inside)) wire.send(ipFrame(packet));
    },
  },
  {
    name: "a pod sends to another node's tunnel",
    victim: 1,
    defences: [[{ node: 1, chain: "into_tunnel", words: NO_PEER }]],
    attempt: (field, inside) =>
      field.sendAsPod(field.addressOf(field.node(1)), inside),
  },
  {
    name:
      "a pod sends to an address of another node that its own node does not know, and so as its own node",
    victim: 1,
    defences: [[{ node: 0, chain: "tunnels_out", words: FROM_PODS_OUT }]],
    before: ({ family }) =>
      family === 4
        ? "ip address add 192.168.51.99/24 dev eth0"
        : "ip address add fd51::99/64 dev eth0 nodad",
    after: ({ family }) =>
      family === 4
        ? "ip address delete 192.168.51.99/24 dev eth0"
        : "ip address delete fd51::99/64 dev eth0",
    attempt: (field, inside) =>
      field.sendAsPod(
        field.family === 4 ? "192.168.51.99" : "fd51::99",
        inside,
      ),
  },
  {
    name: "a machine that is no member sends to a node's tunnel",
    victim: 0,
    defences: [[{ node: 0, chain: "into_tunnel", words: NO_PEER }]],
    attempt: (field, inside) => {
      using wire = new Wire(field.outside.namespace, ETH0);
      const packet = udpPacket({
        from: { address: field.addressOf(field.outside), port: 40000 },
        to: { address: field.addressOf(field.node(0)), port: PORT },
      }, inside);
      wire.send(ipFrame(packet, { to: MacAddress.parse("02:00:5e:02:00:01") }));
    },
  },
];

for (const family of FAMILIES) {
  Deno.test(`tunnels over IPv${family}`, async (t) => {
    await using field = await Battlefield.create(family);
    for (const attack of ATTACKS) {
      const { name, victim, defences, attempt } = attack;
      if ((attack.family ?? family) !== family) continue;
      const words = defences.map((rules) =>
        rules.map(({ chain, words }) => `${chain}: ${words}`).join(" and ")
      ).join(", or ");
      await t.step(
        `${name} | ${words} | fails; without, succeeds`,
        async () => {
          const tried = async (without: readonly (readonly Rules[])[]) => {
            for (const { node, chain, words } of without.flat()) {
              removeRules(field.node(node), chain, words);
            }
            try {
              return await field.reaches(
                victim,
                (inside) => attempt(field, inside),
              );
            } finally {
              for (const { node } of field.nodes) await node.repair();
            }
          };
          const other = field.node(1).namespace;
          if (attack.before) command(other, attack.before(field));
          try {
            assertEquals(await tried([]), false, "with all defences");
            if (defences.length > 1) {
              for (const defence of defences) {
                assertEquals(
                  await tried(defences.filter((one) => one !== defence)),
                  false,
                  `with "${defence[0]?.words}" alone`,
                );
              }
            }
            assertEquals(await tried(defences), true, "without any defence");
          } finally {
            if (attack.after) command(other, attack.after(field));
          }
        },
      );
    }

    await t.step(
      "pods use the tunnels' port among themselves, on both nodes",
      () => {
        for (const server of [field.victim, field.far]) {
          using waiting = server.serve("udp", field.family, PORT);
          const to = { address: server.address(field.family), port: PORT };
          assertEquals(
            typeof ask("udp", field.attacker.namespace, to, [waiting]),
            "object",
          );
        }
      },
    );

    await t.step(
      "a pod that asks for the tunnels' port as a host port is refused, and one that has it does not get what other nodes send",
      async () => {
        const ports = [{
          hostPort: PORT,
          containerPort: 80,
          protocol: "udp" as const,
        }];
        const [near] = field.nodes;
        assert(near !== undefined);
        try {
          await near.node.createSandbox({ name: "greedy", ports });
          assert(false, "the port was given away");
        } catch (error) {
          if (!isSandboxError(error, "HostPortInUse")) throw error;
        }
        const members = field.nodes.map(({ member }) => member);
        await near.paths.remove();
        await using greedy = await Pod.create(near, { name: "greedy", ports });
        await near.paths.apply(near.member, members);
        using waiting = greedy.serve("udp", family, 80);
        using far = field.far.serve("udp", 4, 80);
        const to = { address: field.far.address(4), port: 80 };
        const answer = ask("udp", field.attacker.namespace, to, [far, waiting]);
        assert(typeof answer === "object" && answer.server === "far");
      },
    );
  });
}

function removeRules(
  { namespace }: LabNode,
  chain: string,
  words: string,
): void {
  const found = command(namespace, `nft -a list chain inet podnet ${chain}`)
    .split("\n").filter((line) => line.includes(words));
  assert(found.length > 0, `no rule of ${chain} has "${words}"`);
  for (const line of found) {
    const handle = /# handle (\d+)$/.exec(line)?.[1];
    command(namespace, `nft delete rule inet podnet ${chain} handle ${handle}`);
  }
}

type UdpFlow = Parameters<typeof udp>[0];

/** The first piece has the UDP header and no more: over IPv6 the kernel takes no first piece with less (RFC 7112). */
function cutPackets(flow: UdpFlow, inside: Bytes): Bytes[] {
  const [id = 1] = crypto.getRandomValues(new Uint16Array(1));
  const payload = udp(flow, inside);
  return [0, 8].map((offset) =>
    ipPacket({
      from: flow.from.address,
      to: flow.to.address,
      protocol: PROTOCOL.udp,
      payload: offset === 0 ? payload.subarray(0, 8) : payload.subarray(offset),
      fragment: { id, offset, more: offset === 0 },
    })
  );
}

/**
 * Two nodes with tunnels, and pods of theirs that packets may be slipped to past the guard.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { MacAddress } from "../../src/net/mac.ts";
import {
  createLab,
  type LabHost,
  type LabNode,
} from "../../src/testing/mod.ts";
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
import { until } from "../support/patience.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import type { Family } from "../support/sockets.ts";
import { ETH0, Eye } from "./scene.ts";

/** How long a packet may be on its way after one that was sent later. */
const STRAGGLER_MS = 10;
/** Of the tunnels. */
export const PORT = 8472;
const VNI = 112;

/** Two nodes, and two pods on the first. */
export class Battlefield implements AsyncDisposable {
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

  /** @param segments with two there is a router between the nodes, and none with one */
  static async create(family: Family, segments: 1 | 2): Promise<Battlefield> {
    await using owned = new AsyncDisposableStack();
    const lab = owned.use(
      await createLab({ nodes: 2, segments, underlay: [family], paths: {} }),
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
  async reaches(
    index: 0 | 1,
    send: (inside: Bytes) => void | Promise<void>,
  ): Promise<boolean> {
    const { namespace } = index === 0 ? this.victim : this.far;
    using eye = Eye.onUdp(namespace);
    const mark = crypto.getRandomValues(new Uint8Array(16));
    await send(this.inside(index, mark));
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

/** Rules of a node that an attack fails by. */
export interface Rules {
  /** Whose. */
  readonly node: 0 | 1;
  readonly chain: string;
  /** In the rule, as nft prints it. */
  readonly words: string;
}

/** A way to send into a tunnel. */
export interface Attack {
  readonly name: string;
  /** Of whose pods one is the victim. */
  readonly victim: 0 | 1;
  /** Missing when over both. */
  readonly family?: Family;
  /** Each suffices alone. */
  readonly defences: readonly (readonly Rules[])[];
  readonly attempt: (field: Battlefield, inside: Bytes) => void | Promise<void>;
}

/** For people. */
export function titleOf({ name, defences }: Attack): string {
  const words = defences.map((rules) =>
    rules.map(({ chain, words }) => `${chain}: ${words}`).join(" and ")
  ).join(", or ");
  return `${name} | ${words} | fails; without, succeeds`;
}

/** The attack fails with every single defence, and succeeds without any. */
export async function assertFails(
  field: Battlefield,
  { victim, defences, attempt }: Attack,
): Promise<void> {
  const tried = async (without: readonly (readonly Rules[])[]) => {
    for (const { node, chain, words } of without.flat()) {
      removeRules(field.node(node), chain, words);
    }
    try {
      return await field.reaches(victim, (inside) => attempt(field, inside));
    } finally {
      for (const { node } of field.nodes) await node.repair();
    }
  };
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

/** A datagram in two pieces. The first piece has the UDP header and no more: over IPv6 the kernel takes no first piece with less (RFC 7112). */
export function cutPackets(flow: UdpFlow, inside: Bytes): Bytes[] {
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

/**
 * A node with a hostile pod and its victims, and the form that every attack is tried in.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { OwnedFd } from "../../ffi/fd.ts";
import {
  receive,
  setSocketOption,
  SOCK_RAW,
  socket,
} from "../../ffi/socket.ts";
import type { SandboxSpec } from "../../mod.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import {
  createLab,
  type Lab,
  type LabHost,
  type LabNode,
} from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { type Bytes, ipFrame, udpPacket } from "../support/frames.ts";
import { Wire } from "../support/packets.ts";
import { gatewayAddress, nodeAt, Pod } from "../support/pods.ts";
import type { Family } from "../support/sockets.ts";
import { until } from "../support/patience.ts";

const AF_PACKET = 17;
const ETH_P_ALL_BIG_ENDIAN = 0x0300;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
/** Of a pod's interface, and of a machine's in a lab. */
export const ETH0 = 2;
/** How long a packet may be on its way after one that was sent later. */
const STRAGGLER_MS = 4;

/** Sees frames that arrive in a namespace, or packets of one IP protocol that its own stack takes (raw(7)). */
export class Eye implements Disposable {
  readonly #fds: readonly OwnedFd[];
  readonly #seen: string[] = [];

  private constructor(fds: readonly OwnedFd[]) {
    this.#fds = fds;
  }

  /** All that comes in by any link. */
  static onLinks(namespace: NetworkNamespace): Eye {
    const fd = namespace.run(() =>
      socket(AF_PACKET, SOCK_RAW, ETH_P_ALL_BIG_ENDIAN)
    );
    setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    return new Eye([fd]);
  }

  /** What passed all filters and is for the machine itself, whether or not somebody listens. */
  static onStack(
    namespace: NetworkNamespace,
    protocols: readonly number[] = [6, 17, 1, 58, 2, 4, 41, 47],
  ): Eye {
    return new Eye(
      namespace.run(() =>
        [2, 10].flatMap((domain) =>
          protocols.map((protocol) => socket(domain, SOCK_RAW, protocol))
        )
      ),
    );
  }

  /** As {@linkcode onStack}, UDP and no more. */
  static onUdp(namespace: NetworkNamespace): Eye {
    return Eye.onStack(namespace, [17]);
  }

  /** Whether these bytes have been in a packet since this was opened. */
  saw(bytes: Uint8Array): boolean {
    const buffer = new Uint8Array(65536);
    for (const fd of this.#fds) {
      for (
        let size = receive(fd, buffer);
        size !== undefined;
        size = receive(fd, buffer)
      ) this.#seen.push(buffer.subarray(0, size).toHex());
    }
    const wanted = bytes.toHex();
    return this.#seen.some((packet) => packet.includes(wanted));
  }

  /** Closes the sockets. */
  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd[Symbol.dispose]();
  }
}

/** The node, who attacks it, and who suffers. */
export class Scene implements AsyncDisposable {
  readonly lab: Lab<readonly LabNode[]>;
  readonly node: LabNode;
  readonly outside: LabHost;
  readonly attacker: Pod;
  readonly victim: Pod;
  readonly wire: Wire;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    lab: Lab<readonly LabNode[]>,
    attacker: Pod,
    victim: Pod,
    wire: Wire,
    owned: AsyncDisposableStack,
  ) {
    this.lab = lab;
    this.node = nodeAt(lab.nodes, 0);
    this.outside = lab.outside;
    this.attacker = attacker;
    this.victim = victim;
    this.wire = wire;
    this.#owned = owned;
  }

  /** Makes one, with a victim that is as the spec says. */
  static async create(spec: Partial<SandboxSpec> = {}): Promise<Scene> {
    await using owned = new AsyncDisposableStack();
    const lab = owned.use(await createLab());
    const node = nodeAt(lab.nodes, 0);
    const attacker = owned.use(await Pod.create(node, { name: "attacker" }));
    const victim = owned.use(
      await Pod.create(node, { ...spec, name: "victim" }),
    );
    const wire = owned.use(new Wire(attacker.namespace, ETH0));
    return new Scene(lab, attacker, victim, wire, owned.move());
  }

  /** The node's end of a pod's link. */
  linkOf(pod: Pod): string {
    const name = pod.sandbox.hostInterface;
    assert(name !== undefined);
    return name;
  }

  /**
   * Sends what `craft` makes of a mark, and after it an honest packet from the same link to the same machine.
   *
   * @returns whether the mark was seen there
   */
  async arrives(
    { namespace, address }: Target,
    craft: (mark: Bytes) => readonly Bytes[],
    look: "onStack" | "onUdp" | "onLinks" = "onStack",
  ): Promise<boolean> {
    using eye = Eye[look](namespace);
    const mark = crypto.getRandomValues(new Uint8Array(16));
    for (const frame of craft(mark)) this.wire.send(frame);
    const honest = crypto.getRandomValues(new Uint8Array(16));
    const family: Family = address.includes(":") ? 6 : 4;
    this.wire.send(ipFrame(udpPacket({
      from: { address: this.attacker.address(family), port: 5000 },
      to: { address, port: 7 },
    }, honest)));
    await until(() => eye.saw(honest), "the honest packet did not arrive");
    await new Promise((done) => setTimeout(done, STRAGGLER_MS));
    return eye.saw(mark);
  }

  /** The victim, by its address. */
  targetVictim(family: Family): Target {
    return {
      namespace: this.victim.namespace,
      address: this.victim.address(family),
    };
  }

  /** The node, by its gateway address. */
  targetNode(family: Family): Target {
    return {
      namespace: this.node.namespace,
      address: gatewayAddress(family),
    };
  }

  /** The outside host. */
  targetOutside(family: Family): Target {
    return {
      namespace: this.outside.namespace,
      address: family === 4 ? "192.168.50.254" : "fd50::fe",
    };
  }

  /** Takes it all away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** A machine, and an address that leads there. */
export interface Target {
  readonly namespace: NetworkNamespace;
  readonly address: string;
}

/** One thing that stands in an attack's way, and how a lab is without it. */
export interface Defence {
  readonly name: string;
  readonly remove: (scene: Scene) => void;
  readonly restore: (scene: Scene) => void | Promise<void>;
}

/** A rule of the node's table that has these words, as nft prints them. */
export function ruleDefence(chain: string, words: string): Defence {
  return {
    name: `${chain}: ${words}`,
    remove: ({ node: { namespace } }) => {
      const found = command(
        namespace,
        `nft -a list chain inet podnet ${chain}`,
      ).split("\n").filter((line) => line.includes(words));
      assert(found.length > 0, `no rule of ${chain} has "${words}"`);
      for (const line of found) {
        const handle = /# handle (\d+)$/.exec(line)?.[1];
        command(
          namespace,
          `nft delete rule inet podnet ${chain} handle ${handle}`,
        );
      }
    },
    restore: async ({ node: { node } }) => {
      await node.repair();
    },
  };
}

/** Chains of the node's table as they are; without it, as `change` makes their text. */
export function chainDefence(
  chains: readonly string[],
  name: string,
  change: (chain: string) => string,
): Defence {
  return {
    name,
    remove: ({ node: { namespace } }) => {
      for (const chain of chains) {
        const text = command(namespace, `nft list chain inet podnet ${chain}`);
        const changed = change(text);
        assert(changed !== text, `chain ${chain} has no ${name}`);
        command(
          namespace,
          `nft -f - <<'END'\ndelete chain inet podnet ${chain}\n${changed}\nEND`,
        );
      }
    },
    restore: async ({ node: { node } }) => {
      await node.repair();
    },
  };
}

/** Settings below /proc/sys of the node, as shell words; each with the value that opens the way. */
export function sysctlDefence(
  name: string,
  settings: (scene: Scene) => Readonly<Record<string, string>>,
): Defence {
  const before = new Map<string, string>();
  const write = ({ node }: Scene, path: string, value: string) =>
    command(node.namespace, `echo ${value} > /proc/sys/net/${path}`);
  return {
    name,
    remove: (scene) => {
      for (const [path, value] of Object.entries(settings(scene))) {
        before.set(
          path,
          command(scene.node.namespace, `cat /proc/sys/net/${path}`).trim(),
        );
        write(scene, path, value);
      }
    },
    restore: (scene) => {
      for (const [path, value] of [...before].reverse()) {
        write(scene, path, value);
      }
      before.clear();
    },
  };
}

/** Whatever commands on the node take away and bring back. */
export function commandDefence(
  name: string,
  remove: (scene: Scene) => string,
  restore: (scene: Scene) => string,
): Defence {
  return {
    name,
    remove: (scene) => {
      command(scene.node.namespace, remove(scene));
    },
    restore: (scene) => {
      command(scene.node.namespace, restore(scene));
    },
  };
}

/** Something that a hostile pod tries. */
export interface Attack {
  readonly name: string;
  /** What stops it. Where there are several, each either suffices alone or, in `together`, only helps. */
  readonly alone?: readonly Defence[];
  /** What stops it only in company. */
  readonly together?: readonly Defence[];
  /** Whether it succeeded. */
  readonly attempt: (scene: Scene) => boolean | Promise<boolean>;
}

/** An attack that something stops which nobody can take away. */
export interface HopelessAttack {
  readonly name: string;
  /** What stops it. */
  readonly by: string;
  readonly attempt: (scene: Scene) => boolean | Promise<boolean>;
  /** What the same act does where nothing is in its way, in words. */
  readonly elsewhere: string;
  /** The same act there: it must succeed. */
  readonly control: (scene: Scene) => boolean | Promise<boolean>;
}

/** Tests that the attack fails, and that it would succeed elsewhere. Names are lines of the table, as in {@linkcode testAttacks}. */
export function testHopeless(
  scene: () => Scene,
  attacks: readonly HopelessAttack[],
): void {
  for (const { name, by, attempt, elsewhere, control } of attacks) {
    Deno.test(`${name} | ${by} | fails; ${elsewhere}, succeeds`, async () => {
      assertEquals(await attempt(scene()), false);
      assertEquals(await control(scene()), true, elsewhere);
    });
  }
}

/**
 * Tests that the attack fails, that it fails with each single defence that suffices, and that the very same attack
 * succeeds with none. The test's name is a line of the table: attack, defences, outcome.
 */
export function testAttacks(
  scene: () => Scene,
  attacks: readonly Attack[],
): void {
  for (const { name, alone = [], together = [], attempt } of attacks) {
    const defences = [
      ...alone.map((defence) => defence.name),
      ...together.length === 0
        ? []
        : [together.map((defence) => defence.name).join(" and ")],
    ].join(", or ");
    Deno.test(`${name} | ${defences} | fails; without, succeeds`, async () => {
      const all = [...alone, ...together];
      const tried = async (without: readonly Defence[]) => {
        for (const defence of without) defence.remove(scene());
        try {
          return await attempt(scene());
        } finally {
          for (const defence of [...without].reverse()) {
            await defence.restore(scene());
          }
        }
      };
      assertEquals(await tried([]), false, "with all defences");
      if (all.length > 1) {
        for (const defence of alone) {
          assertEquals(
            await tried(all.filter((other) => other !== defence)),
            false,
            `with "${defence.name}" alone`,
          );
        }
      }
      if (together.length > 1) {
        assertEquals(await tried(alone), false, "with those that help");
      }
      assertEquals(await tried(all), true, "without any defence");
    });
  }
}

/**
 * Packets that nobody honest sends, from outside and from a pod, towards the node's loopback (CVE-2020-8558).
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readTextFile } from "../../ffi/file.ts";
import { TABLE } from "../../src/hostport/sets.ts";
import { writeSysctl } from "../../src/namespace/sysctl.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { getLink } from "../../src/rtnetlink/link.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { FAMILIES, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
import {
  type CraftedPacket,
  CraftingLink,
  Sniffer,
} from "../support/packets.ts";
import { type Endpoint, type Family, TIMEOUT_MS } from "../support/sockets.ts";
import {
  gatewayAddress,
  loopbackAddress,
  nodeAddress,
  nodeAt,
  outsideAddress,
  Pod,
} from "../support/pods.ts";

/** A host port on the node's loopback, one on all addresses, and a port of the node's own. */
const LOOPBACK_PORT = 8080;
const OPEN_PORT = 8081;
const NODE_PORT = 7777;
const INTERFACE_INDEX = 2;

/** Who sends, and what it may honestly claim to be. */
interface Attacker {
  readonly name: string;
  readonly link: CraftingLink;
  readonly address: (family: Family) => string;
}

/** The victims, the attackers, and eyes at all places where a packet could end. */
class Scene implements AsyncDisposable {
  readonly node: LabNode;
  readonly attackers: readonly Attacker[];
  readonly #eyes: readonly Sniffer[];
  readonly #owned: AsyncDisposableStack;
  #nextPort = 20000;

  private constructor(
    node: LabNode,
    attackers: readonly Attacker[],
    eyes: readonly Sniffer[],
    owned: AsyncDisposableStack,
  ) {
    this.node = node;
    this.attackers = attackers;
    this.#eyes = eyes;
    this.#owned = owned;
  }

  static async create(): Promise<Scene> {
    await using owned = new AsyncDisposableStack();
    const lab = owned.use(await createLab());
    const node = nodeAt(lab.nodes, 0);
    const loopback = owned.use(
      await Pod.create(node, {
        ports: TRANSPORTS.flatMap((protocol) =>
          FAMILIES.map((family) => ({
            protocol,
            hostIP: loopbackAddress(family),
            hostPort: LOOPBACK_PORT,
            containerPort: 80,
          }))
        ),
      }),
    );
    const open = owned.use(
      await Pod.create(node, {
        ports: TRANSPORTS.map((protocol) => ({
          protocol,
          hostPort: OPEN_PORT,
          containerPort: 80,
        })),
      }),
    );
    const attacker = owned.use(await Pod.create(node));
    const places = [node, loopback, open];
    const eyes = places.map(({ namespace }) =>
      owned.use(new Sniffer(namespace))
    );
    const attackers: Attacker[] = [
      {
        name: "the outside host",
        link: owned.use(
          new CraftingLink(
            lab.outside.namespace,
            INTERFACE_INDEX,
            macOf(node),
          ),
        ),
        address: outsideAddress,
      },
      {
        name: "a pod",
        link: owned.use(
          new CraftingLink(
            attacker.namespace,
            INTERFACE_INDEX,
            MacAddress.parse("ee:ee:ee:ee:ee:ee"),
          ),
        ),
        address: (family) => attacker.address(family),
      },
    ];
    return new Scene(node, attackers, eyes, owned.move());
  }

  /**
   * Sends the packets, and after them an honest one, which goes the same way and so arrives last.
   *
   * @returns those of the packets that arrived anywhere
   */
  arrivedOf(
    { link, address }: Attacker,
    family: Family,
    packets: readonly Omit<CraftedPacket, "from">[],
    sources: readonly string[],
  ): string[] {
    const sent = new Map<number, string>();
    for (const packet of packets) {
      for (const source of sources) {
        const port = this.#nextPort++;
        link.send({ ...packet, from: { address: source, port } });
        const { transport, to } = packet;
        sent.set(port, `${transport} ${source} > ${to.address} ${to.port}`);
      }
    }
    const last = this.#nextPort++;
    link.send({
      transport: "udp",
      from: { address: address(family), port: last },
      to: { address: nodeAddress(family), port: OPEN_PORT },
    });
    return arrivalsUntil(last, this.#eyes)
      .flatMap((port) => sent.get(port) ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** The source ports of all that arrives until a packet does that was sent last. */
function arrivalsUntil(last: number, eyes: readonly Sniffer[]): number[] {
  const look = () => eyes.flatMap((eye) => eye.takeSourcePorts());
  const arrived: number[] = [];
  const deadline = performance.now() + TIMEOUT_MS;
  while (!arrived.includes(last)) {
    assert(performance.now() < deadline, "the honest packet did not arrive");
    arrived.push(...look());
  }
  // What arrived before it may be where was looked before.
  return [...arrived, ...look()];
}

function macOf({ namespace }: LabNode): MacAddress {
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  const [link] = route.request(getLink({ index: INTERFACE_INDEX }));
  if (link?.mac === undefined) throw new Error("the node has no interface");
  return link.mac;
}

/** A packet to each port of an address, by each protocol. */
function packetsTo(
  address: string,
  ports: readonly number[],
): { transport: "tcp" | "udp"; to: Endpoint }[] {
  return TRANSPORTS.flatMap((transport) =>
    ports.map((port) => ({ transport, to: { address, port } }))
  );
}

const ALL_PORTS = [LOOPBACK_PORT, OPEN_PORT, NODE_PORT];

let scene: Scene;
Deno.test.beforeAll(async () => {
  scene = await Scene.create();
});
Deno.test.afterAll(() => scene[Symbol.asyncDispose]());

for (const [index, attacker] of ["the outside host", "a pod"].entries()) {
  for (const family of FAMILIES) {
    const loopback = loopbackAddress(family);

    Deno.test(`HP11 no packet of ${attacker} to ${loopback} of the node gets anywhere (CVE-2020-8558)`, () => {
      const from = attackerAt(index);
      const own = from.address(family);
      assertEquals(
        scene.arrivedOf(from, family, packetsTo(loopback, ALL_PORTS), [
          own,
          loopback,
          nodeAddress(family),
        ]),
        [],
      );
    });

    Deno.test(`HP11 no packet of ${attacker} from ${loopback} gets anywhere (ipv${family})`, () => {
      assertEquals(
        scene.arrivedOf(
          attackerAt(index),
          family,
          [
            ...packetsTo(nodeAddress(family), ALL_PORTS),
            ...packetsTo(gatewayAddress(family), ALL_PORTS),
          ],
          [loopback],
        ),
        [],
      );
    });
  }
}

function attackerAt(index: number): Attacker {
  const attacker = scene.attackers[index];
  if (attacker === undefined) throw new Error("no such attacker");
  return attacker;
}

Deno.test("HP11 other addresses of 127.0.0.0/8 are no way in either", () => {
  for (const from of scene.attackers) {
    assertEquals(
      scene.arrivedOf(from, 4, packetsTo("127.0.1.1", ALL_PORTS), [
        from.address(4),
        "127.0.0.1",
        "127.9.9.9",
      ]),
      [],
    );
  }
});

for (const family of FAMILIES) {
  Deno.test(`HP11 a pod does not reach a host port as somebody else (ipv${family})`, () => {
    const pod = attackerAt(1);
    assertEquals(
      scene.arrivedOf(
        pod,
        family,
        packetsTo(nodeAddress(family), ALL_PORTS),
        [
          nodeAddress(family),
          gatewayAddress(family),
          outsideAddress(family),
        ],
      ),
      [],
    );
  });
}

Deno.test("HP11 loopback host ports need no route_localnet, on no interface", () => {
  const { namespace } = scene.node;
  const values = namespace.run(() =>
    ["all", "default", "lo", "eth0"].map((name) =>
      readTextFile(`/proc/sys/net/ipv4/conf/${name}/route_localnet`).trim()
    )
  );
  assertEquals(values, ["0", "0", "0", "0"]);
});

Deno.test("HP11 the node's own loopback stays closed when somebody else switches route_localnet on", () => {
  withRouteLocalnet(() => {
    for (const from of scene.attackers) {
      for (
        const [to, sources] of [
          ["127.0.0.1", [from.address(4), "127.0.0.1"]],
          // Of 127.0.0.0/8 the kernel knows its own address as such, others it would believe.
          [nodeAddress(4), ["127.0.0.1", "127.9.9.9"]],
        ] as const
      ) {
        assertEquals(
          scene.arrivedOf(from, 4, packetsTo(to, ALL_PORTS), sources),
          [],
        );
      }
    }
  });
});

Deno.test("HP11 without the guard chain these packets do arrive, so the tests above can fail", async () => {
  command(scene.node.namespace, `nft flush chain inet ${TABLE} guard`);
  try {
    const from = attackerAt(0);
    const ports = [LOOPBACK_PORT, OPEN_PORT];
    assertEquals(
      scene.arrivedOf(from, 4, packetsTo("127.0.0.1", ports), [
        from.address(4),
      ]).length,
      4,
    );
    withRouteLocalnet(() => {
      assertEquals(
        scene.arrivedOf(from, 4, packetsTo("127.0.0.1", [NODE_PORT]), [
          from.address(4),
        ]).length,
        2,
      );
    });
    const pod = attackerAt(1);
    assertEquals(
      scene.arrivedOf(pod, 6, packetsTo(nodeAddress(6), [OPEN_PORT]), [
        outsideAddress(6),
      ]).length,
      2,
    );
  } finally {
    await scene.node.node.repair();
  }
});

Deno.test("HP11 a flushed ruleset opens nothing: no table, no way to the node's loopback", async () => {
  command(scene.node.namespace, `nft delete table inet ${TABLE}`);
  try {
    using eyes = new Sniffer(scene.node.namespace);
    for (const from of scene.attackers) {
      for (const family of FAMILIES) {
        let port = 30000;
        const loopback = loopbackAddress(family);
        for (const packet of packetsTo(loopback, ALL_PORTS)) {
          const address = from.address(family);
          from.link.send({ ...packet, from: { address, port: port++ } });
        }
        // The honest one; with no table it ends at the node itself.
        const last = port;
        from.link.send({
          transport: "udp",
          from: { address: from.address(family), port: last },
          to: { address: nodeAddress(family), port: OPEN_PORT },
        });
        assertEquals(arrivalsUntil(last, [eyes]), [last]);
      }
    }
  } finally {
    await scene.node.node.repair();
  }
});

/** As an administrator, or another program, might. */
function withRouteLocalnet(body: () => void): void {
  const { namespace } = scene.node;
  const name = "net.ipv4.conf.all.route_localnet";
  writeSysctl(namespace, name, "1");
  try {
    body();
  } finally {
    writeSysctl(namespace, name, "0");
  }
}

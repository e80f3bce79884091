/**
 * What a tunnel takes out of its packets comes past the guard: nobody but another node may send to one. Each attack fails
 * with every single defence, and succeeds without any.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isSandboxError } from "../../mod.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { ask, FAMILIES } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { ipFrame, udpPacket } from "../support/frames.ts";
import { Wire } from "../support/packets.ts";
import { Pod } from "../support/pods.ts";
import {
  assertFails,
  type Attack,
  Battlefield,
  cutPackets,
  PORT,
  titleOf,
} from "./battlefield.ts";
import { ETH0 } from "./scene.ts";

interface TunnelAttack extends Attack {
  /** What makes it possible besides, and what ends it. */
  readonly before?: (field: Battlefield) => string;
  readonly after?: (field: Battlefield) => string;
}

const FROM_PODS = 'iifname "pn-*" drop';
const NO_PEER = "@tunnel_sources";

const ATTACKS: readonly TunnelAttack[] = [
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
    defences: [[{ node: 0, chain: "past_tunnel", words: "local drop" }]],
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
    await using field = await Battlefield.create(family, 2);
    for (const attack of ATTACKS) {
      if ((attack.family ?? family) !== family) continue;
      await t.step(titleOf(attack), async () => {
        const other = field.node(1).namespace;
        if (attack.before) command(other, attack.before(field));
        try {
          await assertFails(field, attack);
        } finally {
          if (attack.after) command(other, attack.after(field));
        }
      });
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

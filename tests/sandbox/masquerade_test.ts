/**
 * As whom the world sees pods.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertExists,
  assertNotEquals,
} from "@std/assert";
import type { NodeOptions } from "../../mod.ts";
import { listConntrack } from "../../src/conntrack/conntrack.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_NETFILTER } from "../../src/netlink/message.ts";
import { createLab } from "../../src/testing/mod.ts";
import { ETH0, Eye } from "../hostile/scene.ts";
import { associate } from "../hostport/sctp.ts";
import { nodeAddress, nodeAt, outsideAddress, Pod } from "../support/pods.ts";
import { ask, FAMILIES, serve, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { icmpPacket, ipFrame } from "../support/frames.ts";
import { Wire } from "../support/packets.ts";
import { until } from "../support/patience.ts";
import { formatEndpoint } from "../support/sockets.ts";
import { OtherNode } from "./other_node.ts";

interface Case {
  readonly name: string;
  readonly options: Pick<NodeOptions, "masquerade" | "nonMasqueradeCidrs">;
  /** As whom the outside host sees a pod over IPv4, and over IPv6. */
  readonly seenAs: readonly ["pod" | "node", "pod" | "node"];
}

const CASES: readonly Case[] = [
  {
    name: "as its node",
    options: {},
    seenAs: ["node", "node"],
  },
  {
    name: "as itself with masquerade: false",
    options: { masquerade: false },
    seenAs: ["pod", "pod"],
  },
  {
    name: "as itself when it is on the list",
    options: { nonMasqueradeCidrs: ["192.168.50.254/32", "fd50::/120"] },
    seenAs: ["pod", "pod"],
  },
  {
    name: "as itself over the one IP version of which it is on the list",
    options: { nonMasqueradeCidrs: ["fd50::/64"] },
    seenAs: ["node", "pod"],
  },
  {
    name: "as its node when neighbours of it are on the list",
    options: { nonMasqueradeCidrs: ["192.168.50.128/26", "fd50::80/122"] },
    seenAs: ["node", "node"],
  },
];

for (const { name, options, seenAs } of CASES) {
  Deno.test(`X9 D4 the outside host sees a pod ${name}`, async () => {
    await using host = await OtherNode.create(options);
    const { outside } = host.lab;
    await using pod = await Pod.create(host);
    for (const [i, family] of FAMILIES.entries()) {
      const address = pod.address(family);
      const node = nodeAddress(family);
      // It has no way to pods of itself.
      command(
        outside.namespace,
        `ip -${family} route replace ${address} via ${node}`,
      );
      const to = { address: outsideAddress(family), port: 9000 };
      for (const transport of TRANSPORTS) {
        using server = serve("outside", outside.namespace, {
          transport,
          ...to,
        });
        assertEquals(ask(transport, pod.namespace, to, [server]), {
          server: "outside",
          client: seenAs[i] === "pod" ? address : node,
          at: formatEndpoint(to),
        });
      }
    }
  });
}

Deno.test("X9 pods of a node see each other as themselves when nothing is on the list", async () => {
  await using host = await OtherNode.create({ nonMasqueradeCidrs: [] });
  await using client = await Pod.create(host, { name: "client" });
  await using pod = await Pod.create(host, { name: "pod" });
  for (const family of FAMILIES) {
    for (const transport of TRANSPORTS) {
      using server = pod.serve(transport, family, 80);
      const to = { address: pod.address(family), port: 80 };
      const answer = ask(transport, client.namespace, to, [server]);
      assertEquals(
        typeof answer === "object" ? answer.client : answer,
        client.address(family),
      );
    }
  }
});

Deno.test("a masqueraded pod does not choose the node's source port", async () => {
  await using lab = await createLab();
  const { outside } = lab;
  const { namespace } = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(lab.node);
  for (const family of FAMILIES) {
    const to = { address: outsideAddress(family), port: 9000 };
    for (const port of [80, 1000, 8080, 40000]) {
      for (const transport of TRANSPORTS) {
        using server = serve("outside", outside.namespace, {
          transport,
          ...to,
        });
        const local = { port };
        const answer = ask(transport, pod.namespace, to, [server], { local });
        assertEquals(typeof answer, "object");
      }
    }
    assertExists(
      associate(pod.namespace, to, { ...outside, name: "outside" }),
    );
    using answers = Eye.onLinks(pod.namespace);
    using wire = new Wire(pod.namespace, ETH0);
    const body = crypto.getRandomValues(new Uint8Array(16));
    const echo = { from: pod.address(family), to: to.address };
    wire.send(
      ipFrame(icmpPacket(echo, { type: family === 4 ? 8 : 128, body })),
    );
    await until(() => answers.saw(body), "no answer to an echo");
  }
  using connection = namespace.run(() => Connection.open(NETLINK_NETFILTER));
  const SCTP = 132;
  const found = FAMILIES.flatMap((family) =>
    listConntrack(connection, { family })
  ).filter(({ original }) => original.destinationPort === 9000);
  assertEquals(found.length, 2 * (4 * TRANSPORTS.length + 1));
  assertEquals(found.filter(({ protocol }) => protocol === SCTP).length, 2);
  for (const { original, reply } of found) {
    const { destinationPort = 0 } = reply;
    assert(destinationPort >= 32768, `${destinationPort}`);
    assertNotEquals(destinationPort, original.sourcePort);
  }
});

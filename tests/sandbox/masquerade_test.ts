/**
 * As whom the world sees pods.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { NodeOptions } from "../../mod.ts";
import { nodeAddress, outsideAddress, Pod } from "../support/pods.ts";
import { ask, FAMILIES, serve, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
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

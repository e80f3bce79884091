/**
 * Nodes with one IP version and with two, in either order.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createLab } from "../../src/testing/mod.ts";
import {
  gatewayAddress,
  nodeAddress,
  nodeAt,
  otherNodeAddress,
  outsideAddress,
  Pod,
} from "../support/pods.ts";
import { ask, FAMILIES, serve, TRANSPORTS } from "../support/ask.ts";
import { ipLinks, ipRoutes } from "../support/command.ts";
import { type Family, familyOf } from "../support/sockets.ts";

const ORDERS: readonly (readonly Family[])[] = [[4], [6], [4, 6], [6, 4]];

for (const families of ORDERS) {
  const title = families.map((family) => `ipv${family}`).join(" and ");
  const number = families.length === 1 ? "D3" : "D1";

  Deno.test(`${number} D2 D4 nodes of ${title} give pods these addresses, and every way works`, async () => {
    await using lab = await createLab({ nodes: 2, families });
    const one = nodeAt(lab.nodes, 0);
    const two = nodeAt(lab.nodes, 1);
    const ports = TRANSPORTS.map((protocol) => ({
      protocol,
      hostPort: 8080,
      containerPort: 80,
    }));
    await using pod = await Pod.create(one, { name: "pod", ports });
    await using near = await Pod.create(one, { name: "near" });
    await using far = await Pod.create(two, { name: "far" });

    for (const { sandbox, namespace } of [pod, near, far]) {
      assertEquals(sandbox.addresses.map(familyOf), families);
      const [, eth0] = ipLinks(namespace);
      assertEquals(
        eth0?.addr_info.map(({ local }) => local).sort(),
        [...sandbox.addresses].sort(),
      );
      for (const family of FAMILIES) {
        assertEquals(
          ipRoutes(namespace, family, "default").length,
          families.includes(family) ? 1 : 0,
        );
      }
    }

    for (const family of families) {
      for (const transport of TRANSPORTS) {
        using server = pod.serve(transport, family, 80);
        const direct = { address: pod.address(family), port: 80 };
        const mapped = { address: nodeAddress(family), port: 8080 };
        for (
          const [client, to, seenAs] of [
            [near, direct, near.address(family)],
            [far, direct, far.address(family)],
            [one, direct, gatewayAddress(family)],
            [two, direct, otherNodeAddress(family)],
            [lab.outside, mapped, outsideAddress(family)],
            [near, mapped, near.address(family)],
            [pod, mapped, gatewayAddress(family)],
          ] as const
        ) {
          const answer = ask(transport, client.namespace, to, [server]);
          const way = `${transport}, ipv${family}, ${client.name}`;
          assert(typeof answer === "object", `${way}: ${answer}`);
          assertEquals(answer.client, seenAs, way);
        }

        const outside = { address: outsideAddress(family), port: 9000 };
        using world = serve("outside", lab.outside.namespace, {
          transport,
          ...outside,
        });
        const answer = ask(transport, pod.namespace, outside, [world]);
        assert(typeof answer === "object", `${transport}, ipv${family}`);
        assertEquals(answer.client, nodeAddress(family));
      }
    }
  });
}

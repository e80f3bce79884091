/**
 * Pods of a node without IPv6: their links have none either.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { createLab } from "../../src/testing/mod.ts";
import { ask } from "../support/ask.ts";
import { command, ipLinks } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";

for (const mtu of [68, 1000, 1500]) {
  Deno.test(`D3 a pod of an IPv4 node works with an MTU of ${mtu}, and has no IPv6 but its own loopback`, async () => {
    await using lab = await createLab({ families: [4] });
    const node = nodeAt(lab.nodes, 0);
    await using pod = await Pod.create(node, { mtu });
    const [eth0] = ipLinks(pod.namespace, "dev eth0");
    assertEquals(eth0?.mtu, mtu);
    assertEquals(eth0?.addr_info.map(({ family }) => family), ["inet"]);
    const link = `dev ${pod.sandbox.hostInterface}`;
    assertEquals(ipLinks(node.namespace, link)[0]?.addr_info, []);
    assertEquals(command(pod.namespace, "ip -6 route show"), "");
    using server = pod.serve("udp", 4, 80);
    const to = { address: pod.address(4), port: 80 };
    // More than one packet of the smallest MTU.
    const answer = ask("udp", node.namespace, to, [server], { size: 200 });
    assertEquals(typeof answer, "object", String(answer));
    assertEquals(await node.node.check(), []);
  });
}

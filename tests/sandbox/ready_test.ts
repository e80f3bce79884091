/**
 * A pod is complete when createSandbox() returns.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import {
  gatewayAddress,
  loopbackAddress,
  nodeAt,
  Pod,
} from "../support/pods.ts";
import { ask, FAMILIES, serve, TRANSPORTS } from "../support/ask.ts";
import { ipLinks, ipRoutes } from "../support/command.ts";
import { familyOf } from "../support/sockets.ts";

const PODS = 50;
const PORT = 80;

let lab: Lab;
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]().then());

Deno.test("IP5 a new pod has lo up, finished addresses and exactly one default route of each family", async () => {
  await using pod = await Pod.create(node);
  const [lo, eth0, ...others] = ipLinks(pod.namespace);
  assertEquals(others, []);
  assert(lo && eth0);
  assert(lo.flags.includes("UP"));
  assertEquals(lo.addr_info.map(({ local }) => local), ["127.0.0.1", "::1"]);
  assert(eth0.flags.includes("LOWER_UP"));
  assertEquals(
    eth0.addr_info.map(({ local }) => local),
    [...pod.sandbox.addresses],
  );
  for (const info of [...lo.addr_info, ...eth0.addr_info]) {
    assertEquals(info.tentative, undefined, info.local);
  }
  for (const family of FAMILIES) {
    const routes = ipRoutes(pod.namespace, family, "default");
    assertEquals(
      routes.map(({ dst, dev, gateway }) => ({ dst, dev, gateway })),
      [{ dst: "default", dev: "eth0", gateway: gatewayAddress(family) }],
    );
  }
});

Deno.test("IP5 a new pod reaches itself by its loopback and by its own addresses", async () => {
  await using pod = await Pod.create(node);
  for (const family of FAMILIES) {
    for (const address of [loopbackAddress(family), pod.address(family)]) {
      for (const transport of TRANSPORTS) {
        const to = { address, port: PORT };
        using server = serve("pod", pod.namespace, { transport, ...to });
        const answer = ask(transport, pod.namespace, to, [server]);
        assert(typeof answer === "object", `${transport} ${address}`);
        assertEquals(answer.client, address);
      }
    }
  }
});

// Families take turns, so that each is the very first of a pod half of the time.
Deno.test(`IP5 ${PODS} new pods in a row answer the very first datagram of each family`, async () => {
  for (let i = 0; i < PODS; i++) {
    await using pod = await Pod.create(node);
    for (const family of i % 2 === 0 ? FAMILIES : FAMILIES.toReversed()) {
      using server = pod.serve("udp", family, PORT);
      const to = { address: pod.address(family), port: PORT };
      const answer = ask("udp", node.namespace, to, [server]);
      assert(typeof answer === "object", `pod ${i}, ipv${family}: ${answer}`);
      assertEquals(answer.client, gatewayAddress(family));
    }
  }
});

Deno.test(`IP5 the very first datagram of ${PODS} new pods in a row reaches another pod in each family`, async () => {
  await using server = await Pod.create(node);
  using ipv4 = server.serve("udp", 4, PORT);
  using ipv6 = server.serve("udp", 6, PORT);
  for (let i = 0; i < PODS; i++) {
    await using pod = await Pod.create(node);
    for (const waiting of i % 2 === 0 ? [ipv4, ipv6] : [ipv6, ipv4]) {
      const to = waiting.socket.local;
      const answer = ask("udp", pod.namespace, to, [waiting]);
      assert(typeof answer === "object", `pod ${i}, ${to.address}: ${answer}`);
      assertEquals(answer.client, pod.address(familyOf(to.address)));
    }
  }
});

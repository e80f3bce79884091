/**
 * A pod with raw sockets writes any source into its packets; those that are not its own go nowhere.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { HOST_MAC } from "../../src/attachment/pod_link.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import {
  gatewayAddress,
  loopbackAddress,
  nodeAddress,
  nodeAt,
  otherNodeAddress,
  outsideAddress,
  Pod,
} from "../support/pods.ts";
import { FAMILIES } from "../support/ask.ts";
import { CraftingLink, Sniffer } from "../support/packets.ts";
import { type Family, TIMEOUT_MS } from "../support/sockets.ts";

/** Source ports tell the packets apart: this one is honest, those from the next on are not. */
const HONEST_PORT = 5000;
/** Of a pod's interface. */
const POD_INDEX = 2;
/** How long a packet may be on its way after one that was sent later. */
const STRAGGLER_MS = 5;

let lab: Lab;
let node: LabNode;
let attacker: Pod;
let victim: Pod;
let near: Pod;
let far: Pod;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab({ nodes: 2 }));
  node = nodeAt(lab.nodes, 0);
  attacker = stack.use(await Pod.create(node, { name: "attacker" }));
  victim = stack.use(await Pod.create(node, { name: "victim" }));
  near = stack.use(await Pod.create(node, { name: "near" }));
  far = stack.use(await Pod.create(nodeAt(lab.nodes, 1), { name: "far" }));
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** Whom the packets pretend to be from. */
function disguises(family: Family): string[] {
  return [
    victim.address(family),
    near.address(family),
    far.address(family),
    gatewayAddress(family),
    nodeAddress(family),
    otherNodeAddress(family),
    outsideAddress(family),
    loopbackAddress(family),
    // Of the node's pod CIDR, and nobody's.
    family === 4 ? "10.244.1.250" : "fd00:10:244:1::250",
    // A multicast address, and one of nowhere.
    family === 4 ? "224.0.0.1" : "ff02::1",
    family === 4 ? "203.0.113.1" : "2001:db8::1",
  ];
}

const TARGETS = [
  {
    name: "a pod of another node",
    host: () => far,
    to: (family: Family) => far.address(family),
  },
  {
    name: "a pod of its node",
    host: () => near,
    to: (family: Family) => near.address(family),
  },
  { name: "its node", host: () => node, to: nodeAddress },
  { name: "its gateway", host: () => node, to: gatewayAddress },
  { name: "the outside host", host: () => lab.outside, to: outsideAddress },
] as const;

for (const { name, host, to } of TARGETS) {
  for (const family of FAMILIES) {
    Deno.test(`S4 a pod's packets with somebody else's source never arrive at ${name}, its own do (ipv${family})`, async () => {
      const { namespace } = host();
      using link = new CraftingLink(attacker.namespace, POD_INDEX, HOST_MAC);
      using sniffer = new Sniffer(namespace);
      const target = to(family);
      for (const transport of ["tcp", "udp"] as const) {
        const send = (address: string, port: number) =>
          link.send({
            transport,
            from: { address, port: 7 },
            to: { address: target, port },
          });
        for (const [i, address] of disguises(family).entries()) {
          if (address !== target) send(address, HONEST_PORT + 1 + i);
        }
        send(attacker.address(family), HONEST_PORT);
        const arrived: number[] = [];
        const deadline = performance.now() + TIMEOUT_MS;
        while (
          !arrived.includes(HONEST_PORT) && performance.now() < deadline
        ) {
          await new Promise((done) => setTimeout(done, 1));
          arrived.push(...sniffer.takeDestinationPorts());
        }
        await new Promise((done) => setTimeout(done, STRAGGLER_MS));
        arrived.push(...sniffer.takeDestinationPorts());
        assertEquals(arrived, [HONEST_PORT], transport);
      }
    });
  }
}

/**
 * A pod on a bridge that masquerades reaches every node and every pod, whatever is between the nodes: others have no way to
 * the bridge, so they see the pod as its node.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { LabNode, LabOptions } from "../../src/testing/mod.ts";
import { FAMILIES, seen } from "../support/ask.ts";
import { port, portAddress } from "../support/bridged.ts";
import { nodeAt, outsideAddress, Pod } from "../support/pods.ts";
import type { Family } from "../support/sockets.ts";
import { ofFamily, seenAs, Town } from "./town.ts";

interface Case {
  readonly name: string;
  readonly options: LabOptions;
  /** As whom a pod of another node sees it. */
  readonly seenAs: (node: LabNode, family: Family) => readonly string[];
}

const asGateway: Case["seenAs"] = ({ node }, family) =>
  ofFamily(node.gateways, family);
const asNode: Case["seenAs"] = ({ addresses }, family) =>
  ofFamily(addresses, family);

const CASES: readonly Case[] = [
  {
    name: "one segment",
    options: { nodes: 2, paths: {} },
    seenAs: asNode,
  },
  {
    name: "two segments",
    options: { nodes: 2, segments: 2, paths: {} },
    seenAs: asGateway,
  },
  {
    name: "two segments with IPv4 only",
    options: { nodes: 2, segments: 2, underlay: [4], paths: {} },
    seenAs: asGateway,
  },
  {
    name: "one segment with IPv6 only",
    options: { nodes: 2, underlay: [6], paths: {} },
    // IPv4 goes through the tunnel.
    seenAs: (node, family) => (family === 6 ? asNode : asGateway)(node, family),
  },
  {
    name: "vxlan, one segment",
    options: { nodes: 2, paths: { backend: "vxlan" } },
    seenAs: asGateway,
  },
  {
    name: "no cluster, and others' networks are not masqueraded",
    options: { nodes: 2 },
    seenAs: asNode,
  },
];

for (const { name, options, seenAs: expected } of CASES) {
  Deno.test(`a pod on a bridge reaches others: ${name}`, async () => {
    await using town = await Town.create(options);
    const { lab, places } = town;
    const near = nodeAt(lab.nodes, 0);
    const far = nodeAt(lab.nodes, 1);
    await using solo = await Pod.create(near, {
      name: "solo",
      attachment: { type: "none" },
      interfaces: [{
        ...port(11, { masquerade: true }),
        name: "eth0",
        defaultRoute: true,
      }],
    });
    const underlay: readonly Family[] = options.underlay ?? FAMILIES;
    for (const family of FAMILIES) {
      const own = portAddress(11)(family);
      for (const { node, pods } of places) {
        for (
          const { namespace, address } of pods.map((pod) => ({
            namespace: pod.namespace,
            address: pod.address(family),
          }))
        ) {
          const as = node === near ? [own] : expected(near, family);
          assertEquals(
            seen(solo.namespace, namespace, address),
            [...as, ...as],
            `IPv${family}, a pod of ${node.name}`,
          );
        }
      }
    }
    for (const family of underlay) {
      const [as = ""] = ofFamily(near.addresses, family);
      const [address = ""] = ofFamily(far.addresses, family);
      assertEquals(
        seen(solo.namespace, far.namespace, address),
        [as, as],
        `IPv${family}, another node`,
      );
      const [target] = places[1]?.pods ?? [];
      assert(target !== undefined);
      using server = target.serve("tcp", family, 80);
      const to = { address, port: 8080 };
      assertEquals(
        seenAs("tcp", solo, to, server),
        as,
        `IPv${family}, a host port of another node`,
      );
      const { outside } = lab;
      assertEquals(
        seen(solo.namespace, outside.namespace, outsideAddress(family)),
        [as, as],
        `IPv${family}, the outside`,
      );
    }
  });
}

/**
 * What a watch that repairs does when it cannot go on, or not for now.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { NodeEvent, NodeWatch } from "../../mod.ts";
import { AddressPool } from "../../src/ipam/pool.ts";
import { Cidr } from "../../src/net/cidr.ts";
import {
  hasIpv6,
  loopback,
  type NodeContext,
  NodeSockets,
} from "../../src/sandbox/node/context.ts";
import { LeaseGate } from "../../src/sandbox/records/node_lease.ts";
import { NodeState } from "../../src/sandbox/records/node_state.ts";
import { tableOf } from "../../src/sandbox/node/node_table.ts";
import { RepairingWatch } from "../../src/sandbox/watch/repairing_watch.ts";
import { createLab } from "../../src/testing/mod.ts";
import { BareNode } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { nextOf, readyWatch, untilMended } from "./site.ts";

/** A second look at an open node. */
function contextOf(
  { namespace, stateDir, reference: { name } }: BareNode,
): NodeContext {
  const state = new NodeState(stateDir, name);
  const settings = state.readNode();
  assert(settings);
  const pools = settings.podCidrs.map((text) =>
    new AddressPool(Cidr.parse(text))
  );
  const sockets = new NodeSockets(namespace);
  return {
    settings,
    state,
    namespace,
    sockets,
    pools,
    table: tableOf({ settings, state, pools }),
    ipv6: hasIpv6(loopback(sockets.route)),
    gate: new LeaseGate(),
  };
}

/** A watch of links that ends after one event, for a reason or for none. */
function endingLinks(reason?: RangeError): NodeWatch {
  async function* events(): AsyncGenerator<NodeEvent, undefined> {
    yield { type: "overflow", time: "" };
    await Promise.resolve();
    if (reason !== undefined) throw reason;
  }
  return Object.assign(events(), {
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

Deno.test("a watch that repairs ends with its watch of links, and tells why", async () => {
  await using bare = new BareNode();
  await using _opened = await bare.open();
  const context = contextOf(bare);
  using _sockets = context.sockets;
  {
    await using watch = new RepairingWatch(context, endingLinks(), 0);
    const types = [];
    for await (const { type } of watch) types.push(type);
    assert(types.includes("overflow"), types.join());
    assertEquals((await watch.next()).done, true);
  }
  const reason = new RangeError("links cannot be listed");
  await using watch = new RepairingWatch(context, endingLinks(reason), 0);
  const error = await assertRejects(async () => {
    for await (const _ of watch);
  });
  assertEquals(error, reason);
  assertEquals((await watch.next()).done, true);
});

Deno.test("watch() tells of a look that failed, and mends what it could not mend then", async () => {
  await using lab = await createLab();
  const node = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(node);
  // A wait that is longer than any clock counts is none that fails.
  await using watch = await readyWatch(node, 2 ** 40);
  const record = `${node.node.stateDir}/${node.node.name}/node.cbor`;
  command(
    node.namespace,
    `cp -p ${record} ${record}.kept
    echo damaged > ${record}.new
    mv ${record}.new ${record}
    ip link set ${pod.sandbox.hostInterface} alias x`,
  );
  const event = await nextOf(watch, "repaired", "unrepaired");
  assert(event.type === "unrepaired", JSON.stringify(event));
  const { finding } = event;
  assertEquals(finding.object, `node ${node.node.name}`);
  assert(finding.failure?.includes("node.cbor"), finding.failure);
  command(node.namespace, `mv ${record}.kept ${record}`);
  await untilMended(node, watch, /has alias "x"$/);
});

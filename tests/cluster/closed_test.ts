/**
 * A cluster that was left, and one that is not kept any more.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ClusterPaths, readCluster, removeNode } from "../../mod.ts";
import {
  readNodeLease,
  writeNodeLease,
} from "../../src/sandbox/records/node_lease.ts";
import { until } from "../support/patience.ts";
import { BareNode, POD_CIDRS, rejects } from "../node/bare.ts";
import { Etcd } from "./etcd.ts";
import { Machines } from "./machines.ts";

/** A cluster of one node, given by a file. */
async function alone(machines: Machines) {
  const path = `${machines.stateDir()}/peers.json`;
  const podCidrs = ["10.244.1.0/24"];
  const nodes = [{ name: "n1", podCidrs, addresses: ["192.168.50.1"] }];
  const file = { podCidrs: ["10.244.0.0/16"], nodes };
  await Deno.writeTextFile(path, JSON.stringify(file));
  const node = { stateDir: machines.stateDir() };
  return await machines.join(1, { peers: path, node, cluster: {} });
}

Deno.test("Cluster.leave() fails with NodeClosed once the cluster is closed, and its node's operations too", async () => {
  using machines = new Machines();
  const cluster = await alone(machines);
  const watch = cluster.watch();
  await cluster[Symbol.asyncDispose]();
  await rejects("NodeClosed", () => cluster.leave({ force: true }));
  await rejects("NodeClosed", () => cluster.node.check());
  // What is known stays known, and nobody waits for more.
  assertEquals(cluster.self.name, "n1");
  const events: string[] = [];
  for await (const { type } of watch) events.push(type);
  // Also not if they ask for two at once.
  const late = cluster.watch();
  const asked = await Promise.all([late.next(), late.next()]);
  assertEquals(asked.map(({ done }) => done), [true, true]);
  assertEquals(events.includes("failed"), false);
  await cluster[Symbol.asyncDispose]();
  const { name, stateDir } = cluster.node;
  await removeNode({ name, stateDir, netns: machines.namespace(1) });
});

Deno.test("a watch of a cluster answers all who ask for its next event at the same time", async () => {
  using machines = new Machines();
  const cluster = await alone(machines);
  const watch = cluster.watch();
  const asked = Promise.all([watch.next(), watch.next()]);
  await cluster.leave();
  assertEquals((await asked).length, 2);
});

Deno.test("Cluster.leave() leaves once, whoever calls it again or at the same time", async () => {
  using machines = new Machines();
  const cluster = await alone(machines);
  await cluster.node.createSandbox({ name: "web" });
  await rejects("NodeConflict", () => cluster.leave());
  const [first, second] = await Promise.all([
    cluster.leave({ force: true }),
    cluster.leave({ force: true }),
  ]);
  assertEquals(second, first);
  assertEquals(await cluster.leave(), first);
});

Deno.test("every operation of ClusterPaths fails with NodeClosed once its node is closed", async () => {
  await using bare = new BareNode();
  const node = await bare.open();
  const paths = ClusterPaths.open(node);
  const self = { name: "bare", podCidrs: POD_CIDRS, addresses: [] };
  await paths.apply(self, []);
  await node[Symbol.asyncDispose]();
  const calls = [
    () => paths.apply(self, []),
    () => paths.check(),
    () => paths.repair(),
    () => paths.remove(),
    () => paths.watch(() => {}),
  ];
  for (const call of calls) {
    await rejects("NodeClosed", async () => await call());
  }
});

Deno.test("a watch of paths ends with its node", async () => {
  await using bare = new BareNode();
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const watched = async () => {
    await using node = await bare.open();
    return ClusterPaths.open(node).watch(() => {});
  };
  // What the first watch of a process opens stays open.
  await (await watched())[Symbol.asyncDispose]();
  const before = open();
  await watched();
  await until(() => open() === before);
});

Deno.test("a node whose keeper is stopped is told as expired once its lease has ended", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const cluster = await machines.join(1, {
    etcd: { endpoints: etcd.endpoints },
    cluster: { podCidrs: ["10.244.0.0/16"] },
  });
  const { name, stateDir } = cluster.node;
  const read = () =>
    readCluster({ name, stateDir, netns: machines.namespace(1) });
  assertEquals((await read()).status.state, "ready");
  // As if nobody had renewed it: the next time is in 20 s.
  const state = { directory: `${stateDir}/${name}` };
  const lease = readNodeLease(state);
  assert(lease !== undefined);
  writeNodeLease(state, { ...lease, endsAtMs: 0 });
  const { status } = await read();
  assertEquals([status.isKept, status.state], [true, "expired"]);
  assertMatch(status.reason ?? "", /has not renewed its lease/);
  await cluster.leave();
});

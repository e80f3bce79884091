/** Leaving a cluster by a process that does not keep the node there, and leaving one that the node is not in. */
import { assertEquals, assertRejects } from "@std/assert";
import { openNode, readCluster } from "../../mod.ts";
import { SandboxError } from "../../src/errors.ts";
import { Etcd } from "./etcd.ts";
import { Machines } from "./machines.ts";

const nothing = { members: [], reservations: [], settings: undefined };

async function contents(etcd: Etcd, cluster = "default") {
  await using store = etcd.store({ cluster });
  const { members, reservations, settings } = await store.list();
  return { members, reservations, settings };
}

Deno.test("leaveCluster() of a node that never joined does nothing, to the store, to the node and to its directory", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const stateDir = machines.stateDir();
  const path = `${machines.stateDir()}/peers.json`;
  const node = { stateDir };
  const options = { etcd: { endpoints: etcd.endpoints }, node };
  // Nobody has said what the cluster is to be, either.
  assertEquals(await machines.leave(1, { ...options, cluster: {} }), []);
  assertEquals(await contents(etcd), nothing);
  await using two = await machines.join(2, { etcd: options.etcd });
  const before = await contents(etcd);
  assertEquals(await machines.leave(1, options), []);
  assertEquals(await contents(etcd), before);
  // What a file says of a node is not what the node has asked for.
  const nodes = [{
    name: "n1",
    podCidrs: ["10.244.1.0/24"],
    addresses: ["192.168.50.1"],
  }];
  const file = { podCidrs: ["10.244.0.0/16"], nodes };
  await Deno.writeTextFile(path, JSON.stringify(file));
  assertEquals(
    await machines.leave(1, { peers: path, node, cluster: {} }),
    [],
  );
  assertEquals([...Deno.readDirSync(stateDir)], []);
  await two.leave();
});

Deno.test("leaveCluster() gives back what the node has, once: also when nobody keeps it, its lease has ended, or its state is lost", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const stateDir = machines.stateDir();
  const options = { etcd: { endpoints: etcd.endpoints }, node: { stateDir } };
  const none = { members: [], reservations: [] };
  const given = async () => {
    const { members, reservations } = await contents(etcd);
    return { members, reservations };
  };
  {
    await using one = await machines.join(1, options);
    await one.node.createSandbox({ name: "web" });
    const kept = await assertRejects(
      () => machines.leave(1, options),
      SandboxError,
    );
    assertEquals(kept.code, "MembershipInUse");
  }
  const busy = await assertRejects(
    () => machines.leave(1, options),
    SandboxError,
  );
  assertEquals(busy.code, "NodeConflict");
  const removed = await machines.leave(1, { ...options, force: true });
  assertEquals(removed.filter((one) => one.startsWith("sandbox")).length, 1);
  assertEquals(await given(), none);
  assertEquals(await machines.leave(1, options), []);
  {
    await using one = await machines.join(1, options);
    const { members } = await contents(etcd);
    await one[Symbol.asyncDispose]();
    await etcd.call(0, "lease/revoke", { ID: members[0]?.lease });
  }
  await machines.leave(1, options);
  assertEquals(await given(), none);
  {
    await using one = await machines.join(1, options);
    await one.node.remove();
  }
  await machines.leave(1, { etcd: options.etcd });
  assertEquals(await given(), none);
});

Deno.test("leaveCluster() leaves a node alone that is set up without a cluster, or is in another one", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const node = { name: "n1", stateDir: machines.stateDir() };
  const options = { etcd: { endpoints: etcd.endpoints }, node };
  {
    await using alone = await openNode({
      ...node,
      netns: machines.namespace(1),
      podCidrs: ["10.244.1.0/24"],
    });
    const stranger = await assertRejects(
      () => machines.leave(1, options),
      SandboxError,
    );
    assertEquals(stranger.code, "NotInCluster");
    assertEquals(await alone.check(), []);
    const names = [...Deno.readDirSync(node.stateDir)].map(({ name }) => name);
    assertEquals(names, ["n1"]);
    await alone.remove();
  }
  await using one = await machines.join(1, {
    ...options,
    cluster: { name: "other", podCidrs: ["10.244.0.0/16"] },
  });
  await one[Symbol.asyncDispose]();
  const before = await contents(etcd, "other");
  const noted = async () => {
    const { status: { self, settings } } = await readCluster(node);
    return { self, settings };
  };
  const known = await noted();
  const conflict = await assertRejects(
    () => machines.leave(1, options),
    SandboxError,
    'it is in cluster "other"',
  );
  assertEquals(conflict.code, "NodeConflict");
  assertEquals(await contents(etcd), nothing);
  assertEquals(await contents(etcd, "other"), before);
  assertEquals(await noted(), known);
  await machines.leave(1, { ...options, cluster: { name: "other" } });
});

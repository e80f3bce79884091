import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { isSandboxError, SandboxError } from "../../src/errors.ts";
import { command } from "../support/command.ts";
import { Etcd } from "./etcd.ts";
import { until } from "../support/patience.ts";
import { Machines, POD_CIDRS } from "./machines.ts";

async function code(work: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => work, SandboxError);
  assert(isSandboxError(error));
  return error.code;
}

Deno.test("joinCluster() gives nodes that join at the same instant networks of their own, and each learns of the other (IP2)", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const { endpoints } = etcd;
  const [one, two] = await Promise.all([
    machines.join(1, { etcd: { endpoints } }),
    machines.join(2, { etcd: { endpoints } }),
  ]);
  await using _one = one;
  await using _two = two;
  assertEquals(
    new Set([...one.self.podCidrs, ...two.self.podCidrs]).size,
    4,
  );
  assertEquals(one.node.podCidrs, one.self.podCidrs);
  assertEquals(one.self.addresses, ["192.168.50.1", "fd50::1"]);
  // A tunnel over IPv4 takes 50 bytes.
  assertEquals(one.node.mtu, 1450);
  assertEquals([one.status.state, two.status.state], ["ready", "ready"]);
  await one.noted.until("n2");
  await two.noted.until("n1");
  assertEquals(one.members, [two.self]);
  const sandbox = await one.node.createSandbox({ name: "web" });
  assertEquals(sandbox.addresses.length, 2);
  await one.node.remove({ force: true });
  await two.node.remove();
});

Deno.test("joinCluster() gives a node that returns the same networks: at once, with its state lost, and after its lease", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  const stateDir = machines.stateDir();
  let podCidrs: readonly string[];
  {
    await using first = await machines.join(1, {
      ...options,
      node: { stateDir },
    });
    ({ podCidrs } = first.self);
    const { cluster, node } = { cluster: first.name, node: first.node.name };
    assertEquals([cluster, node], ["default", "n1"]);
  }
  {
    // Another process of the same node.
    await using second = await machines.join(1, {
      ...options,
      node: { stateDir },
    });
    assertEquals(second.self.podCidrs, podCidrs);
    await second.node.remove();
  }
  {
    // The machine has forgotten all, and has the same addresses.
    await using third = await machines.join(1, { ...options, leaseSeconds: 1 });
    assertEquals(third.self.podCidrs, podCidrs);
    await third.node.remove();
  }
  await until(async () => (await store.list()).members.length === 0);
  {
    // Another machine of the same name.
    await using fourth = await machines.join(7, {
      ...options,
      node: { name: "n1" },
    });
    assertEquals(fourth.self.podCidrs, podCidrs);
    await fourth.leave();
  }
});

Deno.test("joinCluster() lets a machine have a name when the one that had it has ended, and not before", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  await using store = etcd.store({ cluster: "default" });
  const options = { etcd: { endpoints: etcd.endpoints } };
  const node = { name: "n1" };
  const first = await machines.join(1, options);
  const { revision, members } = await store.list();
  const watch = store.watch(revision)[Symbol.asyncIterator]();
  const joining = machines.join(2, { ...options, node });
  // Killed: nobody renews its lease any more, which ends here a little sooner.
  await first.node.remove();
  await first[Symbol.asyncDispose]();
  await etcd.call(0, "lease/revoke", { ID: members[0]?.lease });
  await using second = await joining;
  assertEquals(second.self.podCidrs, first.self.podCidrs);
  // It was there no more when the other one came.
  const told: boolean[] = [];
  while (told.length < 2) {
    const { value } = await watch.next();
    for (const change of value?.changes ?? []) {
      if (change.kind === "member") told.push(change.now !== undefined);
    }
  }
  await watch.return?.();
  assertEquals(told, [false, true]);
  // This one waits for the other's end for as long as its own lease would be, and some seconds.
  assertEquals(
    await code(machines.join(3, { ...options, leaseSeconds: 1, node })),
    "NodeNameInUse",
  );
  await second.leave();
});

Deno.test("joinCluster() refuses what the cluster is not, and a second process", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  assertEquals(
    await code(machines.join(1, { ...options, cluster: {} })),
    "InvalidSpec",
  );
  await using one = await machines.join(1, options);
  const others = [
    { podCidrs: ["10.0.0.0/8"] },
    { podCidrs: POD_CIDRS, backend: "host-gw" },
    { podCidrs: POD_CIDRS, nodePrefixLength4: 26 },
    { vni: 7 },
  ] as const;
  for (const cluster of others) {
    assertEquals(
      await code(machines.join(2, { ...options, cluster })),
      "ClusterConflict",
    );
  }
  const { stateDir } = one.node;
  assertEquals(
    await code(machines.join(1, { ...options, node: { stateDir } })),
    "MembershipInUse",
  );
  await using two = await machines.join(2, { ...options, cluster: {} });
  assertEquals(two.settings, one.settings);
  await one.leave();
  await two.leave();
  await using store = etcd.store({ cluster: "default" });
  const { members, reservations } = await store.list();
  assertEquals([members, reservations], [[], []]);
});

Deno.test("joinCluster() tells when the store is silent, when it refuses, and ends when it is told", async () => {
  using machines = new Machines();
  const nobody = { endpoints: ["http://127.0.7.250:2379"] };
  assertEquals(
    await code(machines.join(1, { etcd: nobody, timeoutMs: 300 })),
    "StoreUnreachable",
  );
  const ca = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n";
  assertEquals(
    await code(machines.join(1, { etcd: { ...nobody, ca } })),
    "InvalidSpec",
  );
  const abort = new AbortController();
  const joining = machines.join(1, { etcd: nobody, signal: abort.signal });
  setTimeout(() => abort.abort(new RangeError("enough")), 100);
  await assertRejects(() => joining, RangeError, "enough");
  const path = `${machines.stateDir()}/peers.json`;
  await Deno.writeTextFile(path, '{"podCidrs":["10.244.0.0/16"],"nodes":[]}');
  assertEquals(
    await code(machines.join(1, { peers: path, cluster: {} })),
    "StoreRefused",
  );
});

Deno.test("joinCluster() refuses an address that the node has not, and takes those that a file says", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  for (const address of ["192.168.50.9", "127.0.0.1", "::1"]) {
    assertEquals(
      await code(machines.join(1, { ...options, addresses: [address] })),
      "InvalidSpec",
    );
  }
  command(
    machines.namespace(1),
    "ip address add 10.255.0.1/32 dev lo; ip address add 192.168.50.101/24 dev eth0",
  );
  const loopback = await machines.join(1, {
    ...options,
    addresses: ["10.255.0.1"],
  });
  assertEquals(loopback.self.addresses, ["10.255.0.1"]);
  await loopback.leave();
  const path = `${machines.stateDir()}/peers.json`;
  const write = (address: string) =>
    Deno.writeTextFile(
      path,
      JSON.stringify({
        podCidrs: ["10.244.0.0/16"],
        nodes: [{
          name: "n1",
          podCidrs: ["10.244.1.0/24"],
          addresses: [address],
        }],
      }),
    );
  await write("192.168.50.101");
  const one = await machines.join(1, { peers: path, cluster: {} });
  // The others take its tunnel's packets from there only.
  assertEquals(one.self.addresses, ["192.168.50.101"]);
  await one.leave();
  await write("192.168.50.102");
  assertEquals(
    await code(machines.join(1, { peers: path, cluster: {} })),
    "InvalidSpec",
  );
});

Deno.test("joinCluster() does not let a new node have the address of another", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  const one = await machines.join(1, options);
  command(machines.namespace(2), "ip address add 192.168.50.1/32 dev lo");
  const addresses = ["192.168.50.1"];
  const error = await assertRejects(
    () => machines.join(2, { ...options, leaseSeconds: 1, addresses }),
    SandboxError,
    'node "n1" of the cluster has 192.168.50.1 too',
  );
  assertEquals(error.code, "NodeConflict");
  // When that one ends, it may.
  const joining = machines.join(2, { ...options, addresses });
  await one.leave();
  await using two = await joining;
  assertEquals(two.self.addresses, addresses);
  // One that has its place keeps it, whoever claims the same.
  const { ID: lease } = await etcd.call(0, "lease/grant", { TTL: "60" }) as {
    ID: string;
  };
  await etcd.call(0, "kv/put", {
    lease,
    key: btoa("/podnet/default/members/thief"),
    value: btoa(JSON.stringify({ ...two.self, name: "thief" })),
  });
  await two[Symbol.asyncDispose]();
  const { stateDir } = two.node;
  const again = await machines.join(2, {
    ...options,
    addresses,
    node: { stateDir },
  });
  await again.leave();
});

Deno.test("joinCluster() says what is wrong with the node in a file", async () => {
  using machines = new Machines();
  const path = `${machines.stateDir()}/peers.json`;
  const wrong: Record<string, object> = {
    'node "n1": podCidrs.0: ': { podCidrs: ["10.244.1.5/24"] },
    'node "n1": 10.244.1.0/25 is no network of a node': {
      podCidrs: ["10.244.1.0/25"],
    },
    'node "n1": podCidrs: ': { podCidrs: undefined },
    'node "n1": addresses: ': { addresses: undefined },
    'node "n1" has 10.1.1.0/24 there: write a network of the node in each of 10.244.0.0/16 and fd00:10:244::/48':
      { podCidrs: ["10.1.1.0/24"] },
    'node "n1" has 10.244.1.0/24 there: ': { podCidrs: ["10.244.1.0/24"] },
  };
  const node = {
    name: "n1",
    podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
    addresses: ["192.168.50.1"],
  };
  const join = () => machines.join(1, { peers: path, cluster: {} });
  for (const [reason, change] of Object.entries(wrong)) {
    const nodes = [{ ...node, ...change }];
    await Deno.writeTextFile(
      path,
      JSON.stringify({ podCidrs: POD_CIDRS, nodes }),
    );
    const error = await assertRejects(join, SandboxError, reason);
    assertEquals(error.code, "StoreRefused");
  }
  // Nobody waits for a writer.
  await Deno.remove(path);
  command(machines.namespace(1), `mkfifo ${path}`);
  await assertRejects(join, SandboxError, "it is no JSON");
});

Deno.test("joinCluster() takes a node with pods that have a larger MTU than the network has by now, and tells of it (X6)", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = {
    etcd: { endpoints: etcd.endpoints },
    node: { stateDir: machines.stateDir() },
  };
  {
    await using one = await machines.join(1, options);
    assertEquals([one.node.mtu, one.refused], [1450, []]);
    await one.node.createSandbox({ name: "web" });
  }
  command(machines.namespace(1), "ip link set eth0 mtu 1400");
  await using one = await machines.join(1, options);
  assertEquals(one.node.mtu, 1450);
  assertEquals(one.refused.map(({ name }) => name), ["n1"]);
  assertMatch(
    one.refused[0]?.reason ?? "",
    /^its pods have an MTU of 1450 bytes, and not more than 1350 fit/,
  );
  await one.leave({ force: true });
  await using again = await machines.join(1, options);
  assertEquals([again.node.mtu, again.refused], [1350, []]);
  await again.leave();
});

Deno.test("joinCluster() that fails leaves a node that was there where it is, and nothing of one that was not", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using two = await machines.join(2, options);
  const node = { stateDir: machines.stateDir() };
  const first = await machines.join(1, { ...options, node });
  await two.noted.until("n1");
  await first.node.createSandbox({ name: "web" });
  await first[Symbol.asyncDispose]();
  const other = { ...options, node: { ...node, mtu: 1400 } };
  assertEquals(await code(machines.join(1, other)), "NodeConflict");
  await using store = etcd.store({ cluster: "default" });
  const names = async () =>
    (await store.list()).members.map(({ name }) => name).sort();
  assertEquals(await names(), ["n1", "n2"]);
  await using again = await machines.join(1, { ...options, node });
  assertEquals(again.self, first.self);
  // Another node of the same machine.
  command(machines.namespace(1), "ip address add 192.168.50.33/32 dev lo");
  const second = {
    ...options,
    addresses: ["192.168.50.33"],
    node: { name: "n3" },
  };
  assertEquals(await code(machines.join(1, second)), "NodeConflict");
  assertEquals(await names(), ["n1", "n2"]);
  await again.leave({ force: true });
  await two.leave();
});

Deno.test("Cluster.leave() refuses while there are pods, and goes on then", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const cluster = await machines.join(1, {
    etcd: { endpoints: etcd.endpoints },
  });
  await cluster.node.createSandbox({ name: "web" });
  assertEquals(await code(cluster.leave()), "NodeConflict");
  assertEquals(cluster.status.state, "ready");
  await cluster.node.createSandbox({ name: "other" });
  await cluster.leave({ force: true });
  assertEquals(cluster.status.state, "left");
});

Deno.test("joinCluster() with a file: nodes have the networks that it says, and follow its changes", async () => {
  using machines = new Machines();
  const path = `${machines.stateDir()}/peers.json`;
  const entry = (number: number, network = number, address = number) => ({
    name: `n${number}`,
    podCidrs: [`10.244.${network}.0/24`],
    addresses: [`192.168.50.${address}`],
  });
  const writeNodes = (...nodes: readonly unknown[]) =>
    Deno.writeTextFile(
      `${path}.new`,
      JSON.stringify({
        podCidrs: ["10.244.0.0/16"],
        backend: "host-gw",
        nodes,
      }),
    ).then(() => Deno.rename(`${path}.new`, path));
  const write = (...numbers: readonly number[]) =>
    writeNodes(...numbers.map((number) => entry(number)));
  await write(1, 2);
  await using one = await machines.join(1, { peers: path, cluster: {} });
  assertEquals(one.self.podCidrs, ["10.244.1.0/24"]);
  assertEquals(one.noted.names, ["n2"]);
  assertEquals(one.node.mtu, 1500);
  await write(1, 2, 3);
  await one.noted.until("n2", "n3");
  await Deno.writeTextFile(path, "{");
  await until(() => one.status.state === "disconnected");
  await one.node.createSandbox({ name: "web" });
  await write(2, 3);
  await until(() => one.status.state === "expired");
  assertEquals(
    await code(one.node.createSandbox({ name: "other" })),
    "LeaseEnded",
  );
  await write(1, 3);
  await until(() => one.status.state === "ready");
  await one.noted.until("n3");
  await one.node.createSandbox({ name: "other" });
  // What the file says of itself.
  await writeNodes(entry(1, 7), entry(3));
  await until(() => one.status.state === "expired");
  assertEquals(
    one.status.reason,
    "it has other networks there by now than 10.244.1.0/24",
  );
  await writeNodes(entry(1, 3), entry(3, 1));
  await until(() => one.status.reason === 'node "n3" has 10.244.1.0/24 by now');
  await writeNodes(entry(1, 1, 9), entry(3));
  await until(() => one.status.state === "ready");
  await until(() => one.refused.length > 0);
  assertEquals(one.refused, [{
    name: "n1",
    reason:
      "the others reach it by 192.168.50.9 by now, and it goes by 192.168.50.1: let it join again",
  }]);
  await write(1, 3);
  await until(() => one.refused.length === 0);
  await one.leave({ force: true });
});

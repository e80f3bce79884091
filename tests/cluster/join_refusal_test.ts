/**
 * Joins that fail before anything is claimed.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { JoinOptions } from "../../src/cluster/join_options.ts";
import { isSandboxError, SandboxError } from "../../src/errors.ts";
import { command } from "../support/command.ts";
import { Etcd } from "./etcd.ts";
import { Machines, POD_CIDRS } from "./machines.ts";

Deno.test("joinCluster() that fails has not decided what the cluster is", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  await using store = etcd.store({ cluster: "default" });
  const options = { etcd: { endpoints: etcd.endpoints } };
  // A tunnel leaves 1250 bytes, and IPv6 wants 1280.
  command(machines.namespace(1), "ip link set eth0 mtu 1300");
  const wrong: Partial<JoinOptions>[] = [
    { cluster: { podCidrs: ["10.0.0.0/8"], backend: "wireguard" } },
    ...["0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/8", "fe80::/10"].map((cidr) => ({
      cluster: { podCidrs: [cidr] },
    })),
    { cluster: { podCidrs: POD_CIDRS } },
    { node: { mtu: 1279 } },
  ];
  for (const one of wrong) {
    const error = await assertRejects(
      () => machines.join(1, { ...options, ...one }),
      SandboxError,
    );
    assert(
      isSandboxError(error, "InvalidSpec") ||
        isSandboxError(error, "UnsupportedKernel"),
    );
    const { settings, members, reservations } = await store.list();
    assertEquals([settings, members, reservations], [undefined, [], []]);
  }
  const cluster = { podCidrs: ["10.244.0.0/16"] };
  await using one = await machines.join(1, { ...options, cluster });
  assertEquals(one.settings.podCidrs, cluster.podCidrs);
  await one.leave();
});

Deno.test("joinCluster() refuses a cluster whose networks would take from the node what it reaches by a router", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const cluster = { podCidrs: ["192.168.0.0/16"] };
  const options = { etcd: { endpoints: etcd.endpoints }, cluster };
  const gateway = (number: number, address: string) =>
    command(
      machines.namespace(number),
      `ip route add default via ${address} dev eth0 onlink`,
    );
  gateway(1, "192.168.60.9");
  const refuses = async (number: number, reason: string) => {
    const error = await assertRejects(
      () => machines.join(number, options),
      SandboxError,
      `${reason}, which is in 192.168.0.0/16 of cluster "default" and in no network that this node is on`,
    );
    assertEquals(error.code, "NodeConflict");
  };
  await refuses(1, "the default gateway has 192.168.60.9");
  await using store = etcd.store({ cluster: "default" });
  assertEquals((await store.list()).settings, undefined);
  // That of the segment.
  gateway(2, "192.168.50.9");
  const two = await machines.join(2, options);
  const three = await machines.join(3, options);
  const far = { ...two.self, name: "far", addresses: ["192.168.51.4"] };
  const { ID: lease } = await etcd.call(0, "lease/grant", { TTL: "60" }) as {
    ID: string;
  };
  await etcd.call(0, "kv/put", {
    lease,
    key: btoa("/podnet/default/members/far"),
    value: btoa(JSON.stringify(far)),
  });
  await refuses(4, 'node "far" has 192.168.51.4');
  // One that has its place keeps it, whatever others say.
  await two[Symbol.asyncDispose]();
  const { stateDir } = two.node;
  const again = await machines.join(2, { ...options, node: { stateDir } });
  await again.leave();
  await three.leave();
});

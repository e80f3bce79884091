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

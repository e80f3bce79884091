/**
 * The MTU of a node's pods, while the network's changes.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { joinCluster, readCluster } from "../../mod.ts";
import { command } from "../support/command.ts";
import { until } from "../support/patience.ts";
import { Etcd } from "./etcd.ts";
import { Machines, POD_CIDRS } from "./machines.ts";

Deno.test("a node tells when the network's MTU shrinks below that of its pods, and when it is as it was (X6)", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const netns = machines.namespace(1);
  await using one = await joinCluster({
    etcd: { endpoints: etcd.endpoints },
    cluster: { podCidrs: POD_CIDRS },
    node: { name: "n1", netns, stateDir: machines.stateDir() },
  });
  const { name, stateDir } = one.node;
  // What podnet node status reads.
  const noted = async () =>
    (await readCluster({ name, stateDir })).status.refused;
  assertEquals([one.refused, await noted()], [[], []]);
  command(netns, "ip link set eth0 mtu 1400");
  await until(async () => (await noted()).length > 0);
  assertEquals(await noted(), one.refused);
  assertMatch(
    one.refused[0]?.reason ?? "",
    /^its pods have an MTU of 1450 bytes, and not more than 1350 fit/,
  );
  command(netns, "ip link set eth0 mtu 1500");
  await until(async () => (await noted()).length === 0);
  await one.leave();
});

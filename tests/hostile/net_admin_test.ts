/**
 * CAP_NET_ADMIN in the node's user namespace is administration of the node, also inside a pod. The kernel gives the pod's
 * namespace a number for the node's when it tells anybody of the pod's link (IFLA_LINK_NETNSID), which names the node's
 * links; and it asks for the capability where the node's namespace belongs.
 *
 * @module
 */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { createLab, type Lab } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { Pod } from "../support/pods.ts";
import { OwnUsers } from "./own_users.ts";
import { ETH0 } from "./scene.ts";

let lab: Lab;
Deno.test.beforeAll(async () => {
  lab = await createLab();
});
Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

/** Puts an interface of the pod's on the node's link to the outside. */
const ON_UPLINK =
  `ip link add mv0 link if${ETH0} link-netnsid 0 type macvlan mode bridge`;
const REFUSAL = "Operation not permitted";

Deno.test("a pod with CAP_NET_ADMIN in the node's user namespace puts an interface on the node's uplink", async () => {
  await using pod = await Pod.create(lab.node);
  command(pod.namespace, ON_UPLINK);
  const [{ link_index, link_netnsid }] = JSON.parse(
    command(pod.namespace, "ip -j link show dev mv0"),
  );
  assertEquals([link_index, link_netnsid], [ETH0, 0]);
});

Deno.test("a pod without CAP_NET_ADMIN does not", async () => {
  await using pod = await Pod.create(lab.node);
  const without = "setpriv --bounding-set -net_admin --inh-caps -net_admin";
  assertThrows(
    () => command(pod.namespace, `${without} ${ON_UPLINK}`),
    Error,
    REFUSAL,
  );
});

Deno.test("nor does a pod with all rights in a user namespace of its own, which owns its network", async () => {
  await using users = await OwnUsers.create();
  await using _pod = await Pod.create(lab.node, { netns: users.netns });
  // Over its own network it has them.
  assertEquals(users.inside("ip link set eth0 mtu 1400"), "");
  assertStringIncludes(users.inside(ON_UPLINK), REFUSAL);
});

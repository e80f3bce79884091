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
import { until } from "../support/patience.ts";
import { Pod } from "../support/pods.ts";
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
  const holder = new Deno.Command("unshare", {
    args: ["--user", "--map-root-user", "--net", "sleep", "infinity"],
    stdin: "null",
  }).spawn();
  try {
    const netns = `/proc/${holder.pid}/ns/net`;
    const own = Deno.readLinkSync("/proc/thread-self/ns/net");
    // The user it is there comes last.
    const users = `/proc/${holder.pid}/uid_map`;
    await until(() =>
      Deno.readLinkSync(netns) !== own && Deno.readTextFileSync(users) !== ""
    );
    await using _pod = await Pod.create(lab.node, { netns });
    const inside = (line: string) => {
      const { success, stderr } = new Deno.Command("nsenter", {
        args: [
          ...["--target", `${holder.pid}`, "--user", "--net"],
          ...["--preserve-credentials", "sh", "-c", line],
        ],
      }).outputSync();
      return success ? "" : new TextDecoder().decode(stderr);
    };
    // Over its own network it has them.
    assertEquals(inside("ip link set eth0 mtu 1400"), "");
    assertStringIncludes(inside(ON_UPLINK), REFUSAL);
  } finally {
    holder.kill("SIGKILL");
    await holder.status;
  }
});

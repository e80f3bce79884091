/**
 * A pod with further interfaces answers from its own addresses by its own link, also to those on the further networks.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError } from "../../mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import {
  ask,
  FAMILIES,
  type Outcome,
  seen,
  type Server,
  TRANSPORTS,
} from "../support/ask.ts";
import { bridgeAddress, port } from "../support/bridged.ts";
import { command } from "../support/command.ts";
import {
  type byFamily,
  gatewayAddress,
  nodeAddress,
  nodeAt,
  Pod,
} from "../support/pods.ts";

const PORTS = TRANSPORTS.map((protocol) => ({
  protocol,
  hostPort: 8080,
  containerPort: 80,
}));

const RULES =
  "(ip rule; ip -6 rule; ip route show table all; ip -6 route show table all) | sort";

function macvlan({ namespace }: LabNode) {
  const [, parent = ""] = /dev (\S+)/.exec(
    command(namespace, "ip -o route show 192.168.50.0/24"),
  ) ?? [];
  return {
    name: "net1",
    attachment: { type: "macvlan", parent },
    addresses: ["192.168.50.77/24", "fd50::77/64"],
  } as const;
}

/** Who answers at the node's port 8080, by a server on the pod's own address. */
function answers(
  from: NetworkNamespace,
  pod: Pod,
  at: ReturnType<typeof byFamily>,
): string[] {
  return FAMILIES.flatMap((family) =>
    TRANSPORTS.map((transport) => {
      using server: Server = pod.serve(transport, family, 80);
      const to = { address: at(family), port: 8080 };
      const outcome: Outcome = ask(transport, from, to, [server]);
      return typeof outcome === "object" ? outcome.server : outcome;
    })
  );
}

Deno.test("host ports are for clients on a network that the pod has a macvlan on", async (t) => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const outside = lab.outside.namespace;
  const ask = (pod: Pod) => answers(outside, pod, nodeAddress);
  await t.step("from the beginning", async () => {
    await using pod = await Pod.create(host, {
      ports: PORTS,
      interfaces: [macvlan(host)],
    });
    assertEquals(ask(pod), Array(4).fill(pod.name));
    assertEquals(await host.node.check(), []);
  });
  await t.step(
    "attached to a pod that lives, and off again",
    async () => {
      await using pod = await Pod.create(host, { ports: PORTS });
      const rules = command(pod.namespace, "ip rule list; ip -6 rule list");
      assert(!rules.includes("1120:"), rules);
      await pod.sandbox.attach(macvlan(host));
      assertEquals(ask(pod), Array(4).fill(pod.name));
      assertEquals(await host.node.check(), []);
      await pod.sandbox.detach("net1");
      assertEquals(ask(pod), Array(4).fill(pod.name));
      assertEquals(await host.node.check(), []);
      await pod.sandbox.attach(macvlan(host));
      assertEquals(ask(pod), Array(4).fill(pod.name));
    },
  );
});

Deno.test("a pod on a bridge has its own address, and its host ports, for the bridge's node and other pods", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using one = await Pod.create(host, {
    ports: PORTS,
    interfaces: [port(11)],
  });
  await using two = await Pod.create(host, { interfaces: [port(12)] });
  await using unrouted = await Pod.create(host, {
    attachment: { type: "none" },
    interfaces: [{ ...port(13), defaultRoute: true }],
  });
  for (const { namespace } of [host, two, unrouted]) {
    assertEquals(
      answers(namespace, one, bridgeAddress),
      Array(4).fill(one.name),
    );
  }
  for (const family of FAMILIES) {
    const from = seen(unrouted.namespace, one.namespace, one.address(family));
    assertEquals(
      from,
      Array(2).fill(
        unrouted.sandbox.interfaces[0]
          ?.addresses[family === 4 ? 0 : 1]?.split("/")[0],
      ),
    );
  }
});

Deno.test("a pod reaches itself by each address of the node, wherever its way there leads", async (t) => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const hairpins = () =>
    command(
      host.namespace,
      "for f in 4 6; do nft list set inet podnet hairpin$f; done",
    );
  const assertReaches = async (pod: Pod, ways: typeof bridgeAddress[]) => {
    for (const at of ways) {
      for (const family of FAMILIES) {
        const to = { address: at(family), port: 8080 };
        for (const transport of TRANSPORTS) {
          using server: Server = pod.serve(transport, family, 80);
          assertEquals(ask(transport, pod.namespace, to, [server]), {
            server: pod.name,
            client: gatewayAddress(family),
            at: `${family === 4 ? pod.address(4) : `[${pod.address(6)}]`}:80`,
          });
        }
      }
    }
    assertEquals(await host.node.check(), []);
    assertEquals(await host.node.collectGarbage(), []);
  };
  await t.step("from the beginning", async () => {
    await using pod = await Pod.create(host, {
      ports: PORTS,
      defaultRoute: false,
      interfaces: [{ ...port(11, { masquerade: true }), defaultRoute: true }],
    });
    const ways = [bridgeAddress, nodeAddress];
    await assertReaches(pod, ways);
    const whole = hairpins();
    command(host.namespace, "nft flush set inet podnet hairpin6");
    assertEquals((await host.node.check()).length, 2);
    assertEquals((await host.node.repair()).remaining, []);
    assertEquals(hairpins(), whole);
    await assertReaches(pod, ways);
  });
  await t.step("attached live, and off again", async () => {
    await using pod = await Pod.create(host, { ports: PORTS });
    const before = hairpins();
    for (const _ of [1, 2]) {
      await pod.sandbox.attach(port(11));
      await assertReaches(pod, [bridgeAddress, nodeAddress]);
      // The same again changes nothing.
      const attached = hairpins();
      await pod.sandbox.attach(port(11));
      assertEquals(hairpins(), attached);
      await pod.sandbox.detach("net1");
      assertEquals(hairpins(), before);
      await assertReaches(pod, [nodeAddress]);
    }
    await pod.sandbox.attach(port(11));
  });
  assertEquals(/elements/.test(hairpins()), false);
});

Deno.test("repair() puts back what leads a pod's own answers to its own link", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using pod = await Pod.create(host, {
    ports: PORTS,
    interfaces: [macvlan(host)],
  });
  const whole = command(pod.namespace, RULES);
  const address = pod.address(6);
  for (
    const [damage, object] of [
      [
        `ip -6 rule del from ${address}`,
        `pod's rule for what is from ${address}`,
      ],
      [
        "ip route flush table 2",
        "pod's default route via 10.244.1.1",
      ],
      ["ip link del eth0", undefined],
    ] as const
  ) {
    command(pod.namespace, damage);
    const found = await host.node.check();
    if (object !== undefined) {
      assertEquals(found.map((finding) => finding.object), [object]);
    }
    assertEquals((await host.node.repair()).remaining, []);
    assertEquals(command(pod.namespace, RULES), whole, damage);
    assertEquals(
      answers(lab.outside.namespace, pod, nodeAddress),
      Array(4).fill(pod.name),
    );
  }
});

Deno.test("in a namespace of somebody else's no rule stays, whether a pod goes or fails", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  using foreign = NetworkNamespace.create();
  command(foreign, "ip link set lo up");
  const netns = `/proc/${Deno.pid}/fd/${foreign.fd}`;
  const before = command(foreign, RULES);
  const spec = { netns, ports: PORTS, interfaces: [macvlan(host)] };
  {
    await using pod = await Pod.create(host, spec);
    assertEquals(
      answers(lab.outside.namespace, pod, nodeAddress),
      Array(4).fill(pod.name),
    );
  }
  assertEquals(command(foreign, RULES), before);
  await using _other = await Pod.create(host, {
    ports: PORTS,
    interfaces: [port(11)],
  });
  const error = await assertRejects(() => Pod.create(host, spec));
  assert(isSandboxError(error, "HostPortInUse"), `${error}`);
  assertEquals(command(foreign, RULES), before);
  // Attached live, and not at all.
  {
    await using pod = await Pod.create(host, { netns });
    const inUse = await assertRejects(() => pod.sandbox.attach(port(11)));
    assert(isSandboxError(inUse, "AddressInUse"), `${inUse}`);
    assertEquals(await host.node.check(), []);
  }
  assertEquals(command(foreign, RULES), before);
});

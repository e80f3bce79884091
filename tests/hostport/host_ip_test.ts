/**
 * Which addresses of the node answer: host IPs, families, and what host ports must leave alone.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { writeSysctl } from "../../src/namespace/sysctl.ts";
import { createLab, type Lab } from "../../src/testing/mod.ts";
import {
  ask,
  FAMILIES,
  type Outcome,
  serve,
  type Server,
  type Transport,
  TRANSPORTS,
} from "../support/ask.ts";
import { command } from "../support/command.ts";
import { type Family, familyOf } from "../support/sockets.ts";
import {
  anyAddress,
  gatewayAddress,
  loopbackAddress,
  nodeAddress,
  nodeAt,
  outsideAddress,
  Pod,
} from "../support/pods.ts";

let lab: Lab;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  // Refusals are to come at once, however many there are.
  const { namespace } = nodeAt(lab.nodes, 0);
  writeSysctl(namespace, "net.ipv4.icmp_ratelimit", "0");
  writeSysctl(namespace, "net.ipv6.icmp.ratelimit", "0");
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

/** The name of who answered. */
function nameOf(outcome: Outcome): string {
  return typeof outcome === "string" ? outcome : outcome.server;
}

/** Asks from the outside host, and from the node itself. */
function who(
  from: "outside" | "node",
  transport: Transport,
  to: string,
  port: number,
  servers: readonly Server[],
): string {
  const host = from === "outside" ? lab.outside : nodeAt(lab.nodes, 0);
  return nameOf(
    ask(transport, host.namespace, { address: to, port }, servers),
  );
}

for (const transport of TRANSPORTS) {
  for (const family of FAMILIES) {
    const what = `(${transport}, ipv${family})`;
    const mapping = {
      protocol: transport,
      hostPort: 8080,
      containerPort: 80,
    } as const;

    Deno.test(`HP11 a mapping for one address answers on that address only ${what}`, async () => {
      const hostIP = nodeAddress(family);
      await using pod = await Pod.create(lab.node, {
        ports: [{ ...mapping, hostIP }],
      });
      using server = pod.serve(transport, family, 80);
      const asked = [hostIP, gatewayAddress(family), loopbackAddress(family)];
      assertEquals(
        asked.map((to) => who("node", transport, to, 8080, [server])),
        [pod.name, "refused", "refused"],
      );
      assertEquals(who("outside", transport, hostIP, 8080, [server]), pod.name);
    });

    Deno.test(`HP11 a mapping for ${loopbackAddress(family)} answers to processes of the node only ${what}`, async () => {
      await using pod = await Pod.create(lab.node, {
        ports: [{ ...mapping, hostIP: loopbackAddress(family) }],
      });
      await using neighbour = await Pod.create(lab.node);
      using server = pod.serve(transport, family, 80);
      const servers = [server];
      const asked = [
        loopbackAddress(family),
        gatewayAddress(family),
        nodeAddress(family),
      ];
      assertEquals(
        asked.map((to) => who("node", transport, to, 8080, servers)),
        [pod.name, "refused", "refused"],
      );
      const to = { address: nodeAddress(family), port: 8080 };
      for (const { namespace } of [lab.outside, neighbour, pod]) {
        assertEquals(ask(transport, namespace, to, servers), "refused");
      }
      // Their own loopback is theirs.
      const own = { address: loopbackAddress(family), port: 8080 };
      for (const { namespace } of [neighbour, pod]) {
        assertEquals(ask(transport, namespace, own, servers), "refused");
      }
    });

    Deno.test(`HP22 listeners of the node on other ports and addresses are left alone ${what}`, async () => {
      const node = nodeAt(lab.nodes, 0);
      await using pod = await Pod.create(node, {
        ports: [{ ...mapping, hostIP: nodeAddress(family) }, {
          ...mapping,
          hostPort: 8081,
        }],
      });
      using inPod = pod.serve(transport, family, 80);
      const listener = (address: string, port: number) =>
        serve(`node ${address}`, node.namespace, { transport, address, port });
      using loopback = listener(loopbackAddress(family), 8080);
      using gateway = listener(gatewayAddress(family), 8080);
      using all = listener(anyAddress(family), 8082);
      using loopbackOther = listener(loopbackAddress(family), 8083);
      const servers = [inPod, loopback, gateway, all, loopbackOther];
      for (
        const [from, to, port, answers] of [
          ["node", loopbackAddress(family), 8080, loopback],
          ["node", gatewayAddress(family), 8080, gateway],
          ["node", nodeAddress(family), 8080, inPod],
          ["node", loopbackAddress(family), 8081, inPod],
          ["node", loopbackAddress(family), 8082, all],
          ["node", nodeAddress(family), 8082, all],
          ["outside", nodeAddress(family), 8082, all],
          ["node", loopbackAddress(family), 8083, loopbackOther],
          ["outside", nodeAddress(family), 8080, inPod],
        ] as const
      ) {
        assertEquals(
          who(from, transport, to, port, servers),
          answers.name,
          `${from} asks ${to} port ${port}`,
        );
      }
      const to = { address: nodeAddress(family), port: 8084 };
      using forPods = listener(to.address, to.port);
      assertEquals(
        nameOf(ask(transport, pod.namespace, to, [...servers, forPods])),
        forPods.name,
      );
    });

    Deno.test(`HP22 traffic to other machines is left alone, whatever its port: CVE-2025-67499 ${what}`, async () => {
      const node = nodeAt(lab.nodes, 0);
      await using pod = await Pod.create(node, { ports: [mapping] });
      await using neighbour = await Pod.create(node);
      using mapped = pod.serve(transport, family, 80);
      using outside = serve("outside", lab.outside.namespace, {
        transport,
        address: outsideAddress(family),
        port: 8080,
      });
      using direct = neighbour.serve(transport, family, 8080);
      const servers = [mapped, outside, direct];
      for (const { namespace } of [node, pod, neighbour]) {
        for (
          const [address, expected] of [
            [outsideAddress(family), outside],
            [neighbour.address(family), direct],
          ] as const
        ) {
          assertEquals(
            nameOf(ask(transport, namespace, { address, port: 8080 }, servers)),
            expected.name,
            `to ${address}`,
          );
        }
      }
    });
  }

  /** Host IPs and the families that they mean. */
  const meanings:
    readonly (readonly [string | undefined, readonly Family[]])[] = [
      [undefined, [4, 6]],
      ["0.0.0.0", [4]],
      ["::", [6]],
    ];
  for (const [hostIP, families] of meanings) {
    Deno.test(`HP23 host IP ${hostIP ?? "unset"} means IPv${families.join(" and IPv")} (${transport})`, async () => {
      await using pod = await Pod.create(lab.node, {
        ports: [{
          protocol: transport,
          hostPort: 8080,
          containerPort: 80,
          ...hostIP === undefined ? {} : { hostIP },
        }],
      });
      using ipv4 = pod.serve(transport, 4, 80);
      using ipv6 = pod.serve(transport, 6, 80);
      for (const family of FAMILIES) {
        const expected = families.includes(family) ? pod.name : "refused";
        for (const address of [nodeAddress, loopbackAddress]) {
          const to = address(family);
          const answer = who("node", transport, to, 8080, [ipv4, ipv6]);
          assertEquals(answer, expected, to);
        }
      }
    });
  }
}

for (const family of FAMILIES) {
  Deno.test(`HP12 three pods share a port: on the loopback, on the node's address, and there by UDP (ipv${family})`, async () => {
    const node = nodeAt(lab.nodes, 0);
    const port = 54323;
    const create = (protocol: Transport, hostIP: string) =>
      Pod.create(node, {
        ports: [{ protocol, hostIP, hostPort: port, containerPort: 8080 }],
      });
    await using first = await create("tcp", loopbackAddress(family));
    await using second = await create("tcp", nodeAddress(family));
    await using third = await create("udp", nodeAddress(family));
    using one = first.serve("tcp", family, 8080);
    using two = second.serve("tcp", family, 8080);
    using three = third.serve("udp", family, 8080);
    const local = { address: nodeAddress(family) };
    const answers = ([
      ["tcp", loopbackAddress(family)],
      ["tcp", nodeAddress(family)],
      ["udp", nodeAddress(family)],
    ] as const).map(([transport, address]) =>
      nameOf(
        ask(transport, node.namespace, { address, port }, [one, two, three], {
          local,
        }),
      )
    );
    assertEquals(answers, [first.name, second.name, third.name]);
  });
}

Deno.test("HP11 a host IP that the node does not have is refused, and nothing is left of the pod", async () => {
  for (const hostIP of ["192.168.50.77", "fd50::77"]) {
    const error = await assertRejects(
      () =>
        lab.node.createSandbox({
          name: "nowhere",
          ports: [{ hostPort: 8080, containerPort: 80, hostIP }],
        }),
      SandboxError<"HostAddressUnknown">,
    );
    assertEquals(error.code, "HostAddressUnknown");
    assertEquals(error.context, { hostIP });
  }
  assertEquals(await lab.node.listSandboxes(), []);
});

for (const family of FAMILIES) {
  Deno.test(`HP23 a node of one family has host ports of that family (ipv${family})`, async () => {
    await using single = await createLab({ families: [family] });
    const node = nodeAt(single.nodes, 0);
    for (const transport of TRANSPORTS) {
      await using pod = await Pod.create(node, {
        ports: [{ protocol: transport, hostPort: 8080, containerPort: 80 }],
      });
      assertEquals(pod.sandbox.addresses.map(familyOf), [family]);
      using server = pod.serve(transport, family, 80);
      for (const address of [nodeAddress, loopbackAddress]) {
        assertEquals(
          nameOf(ask(
            transport,
            node.namespace,
            { address: address(family), port: 8080 },
            [server],
          )),
          pod.name,
        );
      }
    }
  });
}

Deno.test("a port of all addresses leaves the node's link-local addresses to the node", async () => {
  const { namespace } = nodeAt(lab.nodes, 0);
  const { outside } = lab;
  const linkOf = (namespace: NetworkNamespace) =>
    /^\d+: (\S+) +inet6 (fe80\S+)\/64/m.exec(
      command(namespace, "ip -o -6 addr show scope link | grep -v ': pn-'"),
    )?.slice(1) ?? [];
  const [own = "", address = ""] = linkOf(namespace);
  const [link = ""] = linkOf(outside.namespace);
  const connects = (port: number) =>
    command(
      outside.namespace,
      `timeout 60 bash -c ': <>/dev/tcp/${address}%${link}/${port}' 2>&1 || true`,
    );
  const ports = [8080, 8081].map((hostPort) => ({
    hostPort,
    containerPort: 80,
  }));
  // A service of the node that is there before the port, on the one address that it does not take.
  using service = namespace.run(() =>
    Deno.listen({ hostname: `${address}%${own}`, port: 8080 })
  );
  assertEquals((service.addr as Deno.NetAddr).port, 8080);
  await using pod = await Pod.create(lab.node, { ports });
  using server = pod.serve("tcp", 6, 80);
  assertEquals(who("outside", "tcp", nodeAddress(6), 8080, [server]), pod.name);
  assertEquals(connects(8080), "");
  assertStringIncludes(connects(8081), "Connection refused");
});

/**
 * Every pod and every node reaches every pod on every node as itself, whatever is between the nodes.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { LabOptions } from "../../src/testing/mod.ts";
import { FAMILIES, serve, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { type Family, TestSocket } from "../support/sockets.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { setSocketOption } from "../../ffi/socket.ts";
import { addressesOf, ofFamily, seenAs, Town } from "./town.ts";

const PORT = 80;
const HOST_PORT = 8080;
/** Of an IP and a UDP header. */
const HEADERS: Readonly<Record<Family, number>> = { 4: 28, 6: 48 };

interface Case {
  readonly name: string;
  readonly options: LabOptions;
  /** MTU of pods. */
  readonly mtu: number;
}

const CASES: readonly Case[] = [
  {
    name: "auto, five nodes on two segments",
    options: { nodes: 5, segments: 2, paths: {} },
    mtu: 1450,
  },
  {
    name: "auto, segments with IPv4 only",
    options: { nodes: 3, segments: 2, underlay: [4], paths: {} },
    mtu: 1450,
  },
  {
    name: "auto, segments with IPv6 only",
    options: { nodes: 3, segments: 2, underlay: [6], paths: {} },
    mtu: 1430,
  },
  {
    name: "vxlan, one segment",
    options: { nodes: 2, paths: { backend: "vxlan" } },
    mtu: 1450,
  },
  {
    name: "host-gw, one segment",
    options: { nodes: 2, paths: { backend: "host-gw" } },
    mtu: 1500,
  },
];

for (const { name, options, mtu } of CASES) {
  Deno.test(name, async (t) => {
    await using town = await Town.create(options);
    const { lab, places, pods } = town;
    const families: readonly Family[] = options.underlay ?? FAMILIES;

    await t.step("all is as it should be", async () => {
      for (const { node } of places) {
        assertEquals(await node.paths.check(), []);
        assertEquals(await node.node.check(), []);
        assertEquals(node.node.mtu, mtu);
      }
    });

    await t.step(
      "X1 X2 X3 X4 IP3 every pod reaches every other, over TCP and UDP, IPv4 and IPv6, and is seen as itself",
      () => {
        for (const { node: serverNode, pod: target } of pods) {
          for (const transport of TRANSPORTS) {
            for (const family of FAMILIES) {
              const to = { address: target.address(family), port: PORT };
              using server = target.serve(transport, family, PORT);
              for (const { node, pod } of pods) {
                if (pod === target) continue;
                assertEquals(
                  seenAs(transport, pod, to, server),
                  pod.address(family),
                  `${transport} from ${node.name} to ${serverNode.name}`,
                );
              }
            }
          }
        }
      },
    );

    await t.step(
      "X5 A1 H2 every node, and every pod on a node's network, reaches every pod, and is seen as an address of its node",
      async () => {
        for (const { node: clientNode } of places) {
          const agent = await clientNode.node.createSandbox({
            name: "agent",
            hostNetwork: true,
          });
          for (const { node: serverNode, pod } of pods) {
            for (const transport of TRANSPORTS) {
              for (const family of FAMILIES) {
                const to = { address: pod.address(family), port: PORT };
                using server = pod.serve(transport, family, PORT);
                const seen = seenAs(transport, clientNode, to, server);
                assert(
                  addressesOf(clientNode).includes(seen),
                  `${transport} from ${clientNode.name} to ${serverNode.name}: ${seen}`,
                );
              }
            }
          }
          await agent.remove();
        }
      },
    );

    await t.step(
      "A1 a node that uses the address that others know it by reaches every pod, too",
      () => {
        for (const { node } of places) {
          for (const family of families) {
            const [address = ""] = ofFamily(node.addresses, family);
            for (const { pod } of pods) {
              const to = { address: pod.address(family), port: PORT };
              for (const transport of TRANSPORTS) {
                using server = pod.serve(transport, family, PORT);
                const local = { address };
                assertEquals(
                  seenAs(transport, node, to, server, { local }),
                  address,
                );
              }
            }
          }
        }
      },
    );

    await t.step(
      "HP4 HP5 host ports of every node are reached by every other node and every pod; a pod is seen as itself",
      () => {
        for (const { node: serverNode, pods: [target] } of places) {
          for (const family of families) {
            const [address = ""] = ofFamily(serverNode.addresses, family);
            const to = { address, port: HOST_PORT };
            for (const transport of TRANSPORTS) {
              assert(target !== undefined);
              using server = target.serve(transport, family, PORT);
              for (const { node, pods } of places) {
                if (node === serverNode) continue;
                assert(
                  addressesOf(node).includes(
                    seenAs(transport, node, to, server),
                  ),
                  `${transport} from ${node.name} to ${serverNode.name}`,
                );
                for (const pod of pods) {
                  assertEquals(
                    seenAs(transport, pod, to, server),
                    pod.address(family),
                    `${transport} from a pod of ${node.name} to ${serverNode.name}`,
                  );
                }
              }
            }
          }
        }
      },
    );

    await t.step(
      "A3 X9 what listens on a node is reached by every pod of another as itself, and answers",
      () => {
        for (const { node: serverNode } of places) {
          for (const family of families) {
            const [address = ""] = ofFamily(serverNode.addresses, family);
            const to = { address, port: 9000 };
            for (const transport of TRANSPORTS) {
              using server = serve("node", serverNode.namespace, {
                transport,
                ...to,
              });
              for (const { node, pod } of pods) {
                if (node === serverNode) continue;
                assertEquals(
                  seenAs(transport, pod, to, server),
                  pod.address(family),
                  `${transport} from a pod of ${node.name} to ${serverNode.name}`,
                );
              }
            }
          }
        }
      },
    );

    await t.step("X9 the outside host sees every pod as its node", () => {
      for (const family of families) {
        const [address = ""] = ofFamily(lab.outside.addresses, family);
        const to = { address, port: 9000 };
        for (const transport of TRANSPORTS) {
          using server = serve("outside", lab.outside.namespace, {
            transport,
            ...to,
          });
          for (const { node, pod } of pods) {
            assertEquals(
              seenAs(transport, pod, to, server),
              ofFamily(node.addresses, family)[0],
            );
          }
        }
      }
    });

    await t.step(
      "X6 the largest packets get through uncut, with DF; larger ones are refused where they start",
      () => {
        for (const { pod } of pods) {
          for (const { pod: target } of pods) {
            if (pod === target) continue;
            for (const family of FAMILIES) {
              const to = { address: target.address(family), port: PORT };
              using server = target.serve("udp", family, PORT);
              using client = TestSocket.open(pod.namespace, {
                kind: "udp",
                family,
              });
              forbidFragments(client, family);
              client.connect(to);
              const data = new Uint8Array(mtu - HEADERS[family]);
              client.send(data);
              assertEquals(server.socket.receive()?.data.length, data.length);
              try {
                client.send(new Uint8Array(data.length + 1));
                assert(false, "a packet larger than the MTU was sent");
              } catch (error) {
                if (!isSyscallError(error, EMSGSIZE)) throw error;
              }
            }
          }
        }
        // A stream fills its segments.
        const [first, second] = [pods[0], pods[2]];
        assert(first !== undefined && second !== undefined);
        for (const family of FAMILIES) {
          const to = { address: second.pod.address(family), port: PORT };
          using server = second.pod.serve("tcp", family, PORT);
          const options = { size: 60_000 };
          assertEquals(
            seenAs("tcp", first.pod, to, server, options),
            first.pod.address(family),
          );
        }
        for (const { node, pods } of places) {
          for (const { namespace } of [node, ...pods]) {
            assertEquals(fragmentsMade(namespace), 0, `on ${node.name}`);
          }
        }
      },
    );
  });
}

const EMSGSIZE = 90;

/** IP_MTU_DISCOVER or IPV6_MTU_DISCOVER: IP_PMTUDISC_DO (ip(7), ipv6(7)). */
function forbidFragments({ fd }: TestSocket, family: Family): void {
  if (family === 4) setSocketOption(fd, 0, 10, 2);
  else setSocketOption(fd, 41, 23, 2);
}

/** Pieces that a machine has cut packets into. */
function fragmentsMade(
  namespace: Parameters<typeof command>[0],
): number {
  const text = command(
    namespace,
    "cat /proc/thread-self/net/snmp /proc/thread-self/net/snmp6",
  );
  const [names = [], values = []] = [...text.matchAll(/^Ip: (.*)$/gm)]
    .map(([, line = ""]) => line.split(" "));
  const ipv4 = Number(values[names.indexOf("FragCreates")]);
  const ipv6 = Number(/^Ip6FragCreates\s+(\d+)$/m.exec(text)?.[1]);
  return ipv4 + ipv6;
}

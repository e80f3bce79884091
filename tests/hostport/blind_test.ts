/**
 * A pod cannot tell whether it has host ports.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { readTextFile } from "../../ffi/file.ts";
import type { PortMapping } from "../../src/hostport/mapping.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { dumpAddresses } from "../../src/rtnetlink/address.ts";
import { dumpLinks } from "../../src/rtnetlink/link.ts";
import { dumpNeighbours } from "../../src/rtnetlink/neighbour.ts";
import { dumpRoutes } from "../../src/rtnetlink/route.ts";
import { createLab, type Lab } from "../../src/testing/mod.ts";
import { ask, FAMILIES, TRANSPORTS } from "../support/ask.ts";
import { formatEndpoint } from "../support/sockets.ts";
import { loopbackAddress, nodeAddress, nodeAt, Pod } from "../support/pods.ts";

let lab: Lab;
Deno.test.beforeAll(async () => {
  lab = await createLab();
});
Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

const PORTS: readonly PortMapping[] = (["tcp", "udp", "sctp"] as const).flatMap(
  (protocol) => [
    { protocol, hostPort: 8080, containerPort: 80 },
    { protocol, hostPort: 9000, hostPortEnd: 9009, containerPort: 9000 },
    ...FAMILIES.map((family) => ({
      protocol,
      hostIP: loopbackAddress(family),
      hostPort: 8081,
      containerPort: 80,
    })),
  ],
);

/** Tables of a network's sockets, below /proc/net. */
const SOCKET_TABLES = [
  "tcp",
  "tcp6",
  "udp",
  "udp6",
  "raw",
  "raw6",
  "packet",
  "unix",
  "netlink",
];

/** All that a process in the pod can find out about its network, but for counters and the link number of the other end. */
async function viewFrom({ namespace, sandbox }: Pod) {
  // First: the sockets that look are not to be seen.
  const sockets = namespace.run(() =>
    SOCKET_TABLES.map((name) => [
      name,
      readTextFile(`/proc/thread-self/net/${name}`).trim().split("\n").slice(1)
        // The kernel's own: protocol and process 0, of every network.
        .filter((line) => !/^[0-9a-f]+ +\d+ +0 /.test(line)),
    ])
  );
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  using nft = namespace.run(() => NftablesConnection.open());
  const { stdout } = await sandbox.spawn("env", { stdout: "piped" }).output();
  return {
    sockets,
    links: route.dump(dumpLinks({}))
      .map(({ raw: _, peerIndex: _random, ...link }) => link),
    addresses: route.dump(dumpAddresses({}))
      .map(({ raw: _, ...address }) => address),
    routes: route.dump(dumpRoutes({})).map(({ raw: _, ...route }) => route),
    neighbours: route.dump(dumpNeighbours({}))
      .filter(({ permanent }) => permanent)
      .map(({ raw: _, ...neighbour }) => neighbour),
    // Every change of the ruleset, of any table, makes another one.
    rulesetGeneration: nft.generation(),
    environment: new TextDecoder().decode(stdout),
  };
}

Deno.test("HP13 a pod looks the same before its host ports are opened, while they are and after they are closed", async () => {
  await using pod = await Pod.create(lab.node);
  const before = await viewFrom(pod);
  await pod.sandbox.addPorts(PORTS);
  assertEquals(await viewFrom(pod), before);
  await pod.sandbox.removePorts(PORTS);
  assertEquals(await viewFrom(pod), before);
});

Deno.test("HP13 a pod that is made with host ports looks like one that is made without", async () => {
  const view = async (ports: readonly PortMapping[]) => {
    await using pod = await Pod.create(lab.node, { name: "same", ports });
    return await viewFrom(pod);
  };
  const without = await view([]);
  assertEquals([without.links.length, without.addresses.length], [2, 4]);
  assertEquals(await view(PORTS), without);
});

Deno.test("HP13 what the pod's view is made of shows a change: the tests above can fail", async () => {
  await using pod = await Pod.create(lab.node);
  const before = await viewFrom(pod);
  using _listener = pod.serve("udp", 4, 80);
  assertNotEquals(await viewFrom(pod), before);
});

for (const transport of TRANSPORTS) {
  for (const family of FAMILIES) {
    Deno.test(`HP13 a server is asked on the pod's address and the container port (${transport}, ipv${family})`, async () => {
      await using pod = await Pod.create(lab.node, { ports: PORTS });
      using server = pod.serve(transport, family, 80);
      const node = nodeAt(lab.nodes, 0);
      for (
        const [host, address, port] of [
          [lab.outside, nodeAddress(family), 8080],
          [node, nodeAddress(family), 8080],
          [node, loopbackAddress(family), 8080],
          [node, loopbackAddress(family), 8081],
          [pod, nodeAddress(family), 8080],
        ] as const
      ) {
        const answer = ask(transport, host.namespace, { address, port }, [
          server,
        ]);
        assert(typeof answer === "object");
        assertEquals(
          answer.at,
          formatEndpoint({ address: pod.address(family), port: 80 }),
        );
      }
    });
  }
}

Deno.test("HP13 a pod's own use of the number of its host port is its own", async () => {
  await using pod = await Pod.create(lab.node, { ports: PORTS });
  for (const transport of TRANSPORTS) {
    for (const family of FAMILIES) {
      // The host port is not taken inside, and inside it leads nowhere else.
      using inside = pod.serve(transport, family, 8080);
      using mapped = pod.serve(transport, family, 80);
      const to = { address: pod.address(family), port: 8080 };
      const answer = ask(transport, pod.namespace, to, [inside, mapped]);
      assert(typeof answer === "object");
      assertEquals(answer.at, formatEndpoint(to));
    }
  }
});

/**
 * What becomes of connections and flows when host ports come, go and move.
 *
 * @module
 */
import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import type { PortMapping } from "../../src/hostport/mapping.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { writeSysctl } from "../../src/namespace/sysctl.ts";
import { createLab, type Lab } from "../../src/testing/mod.ts";
import {
  ask,
  exchangeOverUdp,
  FAMILIES,
  type Outcome,
  type Server,
  TRANSPORTS,
} from "../support/ask.ts";
import {
  type Endpoint,
  type Family,
  firstReadable,
  TestSocket,
} from "../support/sockets.ts";
import {
  loopbackAddress,
  nodeAddress,
  nodeAt,
  outsideAddress,
  Pod,
} from "../support/pods.ts";
import { associate } from "./sctp.ts";

let lab: Lab;
/** A client of the node that is a pod of the node. */
let neighbour: Pod;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  const node = nodeAt(lab.nodes, 0);
  // Refusals are to come at once, however many there are.
  writeSysctl(node.namespace, "net.ipv4.icmp_ratelimit", "0");
  writeSysctl(node.namespace, "net.ipv6.icmp.ratelimit", "0");
  neighbour = await Pod.create(node);
});

Deno.test.afterAll(async () => {
  await neighbour[Symbol.asyncDispose]();
  await lab[Symbol.asyncDispose]();
});

/** Where clients are, and what they ask. */
const CLIENTS: readonly {
  readonly name: string;
  readonly at: () => { readonly namespace: NetworkNamespace };
  readonly address: (family: Family) => string;
}[] = [
  {
    name: "the outside host",
    at: () => lab.outside,
    address: nodeAddress,
  },
  {
    name: "the node, by its address",
    at: () => nodeAt(lab.nodes, 0),
    address: nodeAddress,
  },
  {
    name: "the node, by its loopback",
    at: () => nodeAt(lab.nodes, 0),
    address: loopbackAddress,
  },
  {
    name: "a pod of the node",
    at: () => neighbour,
    address: nodeAddress,
  },
];

const UDP: PortMapping = { protocol: "udp", hostPort: 8080, containerPort: 80 };
const TCP: PortMapping = { protocol: "tcp", hostPort: 8080, containerPort: 80 };

function nameOf(outcome: Outcome): string {
  return typeof outcome === "string" ? outcome : outcome.server;
}

/** A UDP socket that keeps its port: one flow, whoever answers. */
function flow(
  namespace: NetworkNamespace,
  family: Family,
  to: Endpoint,
): TestSocket {
  const socket = TestSocket.open(namespace, { kind: "udp", family });
  socket.connect(to);
  return socket;
}

for (const { name, at, address } of CLIENTS) {
  for (const family of FAMILIES) {
    const to = { address: address(family), port: 8080 };
    const who = (client: TestSocket, servers: readonly Server[]) =>
      nameOf(exchangeOverUdp(client, servers));

    Deno.test(`HP15 a UDP flow of ${name} moves with the port to another pod (ipv${family})`, async () => {
      await using one = await Pod.create(lab.node, { ports: [UDP] });
      await using two = await Pod.create(lab.node);
      using first = one.serve("udp", family, 80);
      using second = two.serve("udp", family, 80);
      using client = flow(at().namespace, family, to);
      const servers = [first, second];
      assertEquals(who(client, servers), one.name);
      await one.sandbox.removePorts([UDP]);
      await two.sandbox.addPorts([UDP]);
      assertEquals(who(client, servers), two.name);
      // And back, with a datagram while nobody had the port.
      await two.sandbox.removePorts([UDP]);
      assertEquals(who(client, servers), "refused");
      await one.sandbox.addPorts([UDP]);
      assertEquals(who(client, servers), one.name);
    });

    Deno.test(`HP15 a UDP flow of ${name} moves to the pod that comes after the first (ipv${family})`, async () => {
      await using stack = new AsyncDisposableStack();
      const one = stack.use(await Pod.create(lab.node, { ports: [UDP] }));
      const first = stack.use(one.serve("udp", family, 80));
      using client = flow(at().namespace, family, to);
      assertEquals(who(client, [first]), one.name);
      await stack.disposeAsync();
      await using two = await Pod.create(lab.node, { ports: [UDP] });
      using second = two.serve("udp", family, 80);
      assertEquals(who(client, [second]), two.name);
    });

    Deno.test(`HP16 a UDP flow of ${name} that began before the mapping reaches the pod (ipv${family})`, async () => {
      await using pod = await Pod.create(lab.node);
      using server = pod.serve("udp", family, 80);
      using client = flow(at().namespace, family, to);
      assertEquals(who(client, [server]), "refused");
      await pod.sandbox.addPorts([UDP]);
      assertEquals(who(client, [server]), pod.name);
    });

    Deno.test(`HP16 a TCP client of ${name} that was refused reaches the pod from the same port (ipv${family})`, async () => {
      await using pod = await Pod.create(lab.node);
      using server = pod.serve("tcp", family, 80);
      const { namespace } = at();
      const local = { port: 33333 };
      assertEquals(ask("tcp", namespace, to, [server], { local }), "refused");
      await pod.sandbox.addPorts([TCP]);
      assertEquals(
        nameOf(ask("tcp", namespace, to, [server], { local })),
        pod.name,
      );
    });

    for (const transport of TRANSPORTS) {
      Deno.test(`HP14 after unmapping, ${name} is refused at once (${transport}, ipv${family})`, async () => {
        const mapping = { ...TCP, protocol: transport };
        await using pod = await Pod.create(lab.node, { ports: [mapping] });
        using server = pod.serve(transport, family, 80);
        const { namespace } = at();
        assertEquals(
          nameOf(ask(transport, namespace, to, [server])),
          pod.name,
        );
        await pod.sandbox.removePorts([mapping]);
        assertEquals(ask(transport, namespace, to, [server]), "refused");
        await pod.sandbox.addPorts([mapping]);
        await pod[Symbol.asyncDispose]();
        assertEquals(ask(transport, namespace, to, []), "refused");
      });
    }

    Deno.test(`HP14 a TCP connection of ${name} ends with its mapping, others go on (ipv${family})`, async () => {
      const other = { ...TCP, hostPort: 8081 };
      await using pod = await Pod.create(lab.node, { ports: [TCP, other] });
      await using bystander = await Pod.create(lab.node, {
        ports: [{ ...TCP, hostPort: 8082 }],
      });
      using server = pod.serve("tcp", family, 80);
      using aside = bystander.serve("tcp", family, 80);
      const { namespace } = at();
      using ended = established(namespace, to, server);
      using kept = established(namespace, { ...to, port: 8081 }, server);
      using others = established(namespace, { ...to, port: 8082 }, aside);
      await pod.sandbox.removePorts([TCP]);
      kept.assertAlive();
      others.assertAlive();
      ended.assertReset();
      await pod[Symbol.asyncDispose]();
      others.assertAlive();
    });
  }
}

/** A TCP connection through a host port, both ends. */
interface Established extends Disposable {
  assertAlive(): void;
  assertReset(): void;
}

function established(
  namespace: NetworkNamespace,
  to: Endpoint,
  server: Server,
): Established {
  using owned = new DisposableStack();
  const client = owned.use(
    TestSocket.open(namespace, { kind: "tcp", family: server.socket.family }),
  );
  client.connect(to);
  firstReadable([server.socket], 1000);
  const accepted = owned.use(server.socket.accept().socket);
  const kept = owned.move();
  const word = () => crypto.getRandomValues(new Uint8Array(8));
  return {
    // The server first: a packet of the client would have a forgotten connection translated anew.
    assertAlive() {
      for (
        const [from, into] of [[accepted, client], [client, accepted]] as const
      ) {
        const sent = word();
        from.send(sent);
        assertEquals(into.receiveExactly(sent.length), sent);
      }
    },
    assertReset() {
      client.send(word());
      const error = assertThrows(() => client.receive());
      assertEquals(isSyscallError(error, Errno.ECONNRESET), true, `${error}`);
    },
    [Symbol.dispose]: () => kept.dispose(),
  };
}

for (const family of FAMILIES) {
  Deno.test(`HP14 unmapping one address leaves the connections by another alone (ipv${family})`, async () => {
    const byNode = { ...TCP, hostIP: nodeAddress(family) };
    const byLoopback = { ...TCP, hostIP: loopbackAddress(family) };
    await using pod = await Pod.create(lab.node, {
      ports: [byNode, byLoopback],
    });
    using server = pod.serve("tcp", family, 80);
    const { namespace } = nodeAt(lab.nodes, 0);
    const at = (address: string) => ({ address, port: 8080 });
    using kept = established(namespace, at(nodeAddress(family)), server);
    using ended = established(namespace, at(loopbackAddress(family)), server);
    await pod.sandbox.removePorts([byLoopback]);
    kept.assertAlive();
    ended.assertReset();
  });

  Deno.test(`HP14 unmapping one family leaves the connections of the other alone (ipv${family})`, async () => {
    const other = family === 4 ? 6 : 4;
    const wildcards = { 4: "0.0.0.0", 6: "::" } as const;
    const mappings = FAMILIES.map((f) => ({ ...TCP, hostIP: wildcards[f] }));
    await using pod = await Pod.create(lab.node, { ports: mappings });
    using server = pod.serve("tcp", family, 80);
    const { namespace } = lab.outside;
    const to = { address: nodeAddress(family), port: 8080 };
    using kept = established(namespace, to, server);
    await pod.sandbox.removePorts([{ ...TCP, hostIP: wildcards[other] }]);
    kept.assertAlive();
  });

  Deno.test(`HP14 unmapping one protocol leaves the flows of the other alone (ipv${family})`, async () => {
    await using pod = await Pod.create(lab.node, { ports: [TCP, UDP] });
    using server = pod.serve("tcp", family, 80);
    const to = { address: nodeAddress(family), port: 8080 };
    using kept = established(lab.outside.namespace, to, server);
    await pod.sandbox.removePorts([UDP]);
    kept.assertAlive();
  });

  Deno.test(`HP15 a UDP flow moves with the port although the old server goes on sending (ipv${family})`, async () => {
    const mapping = { ...UDP, containerPort: UDP.hostPort };
    await using one = await Pod.create(lab.node, { ports: [mapping] });
    await using two = await Pod.create(lab.node);
    using first = one.serve("udp", family, UDP.hostPort);
    using second = two.serve("udp", family, UDP.hostPort);
    const to = { address: nodeAddress(family), port: UDP.hostPort };
    using client = flow(lab.outside.namespace, family, to);
    assertEquals(nameOf(exchangeOverUdp(client, [first])), one.name);
    await one.sandbox.removePorts([mapping]);
    const { port } = client.local;
    first.socket.send(new Uint8Array(8), {
      address: outsideAddress(family),
      port,
    });
    await two.sandbox.addPorts([mapping]);
    assertEquals(nameOf(exchangeOverUdp(client, [first, second])), two.name);
  });

  Deno.test(`HP16 mapping a port leaves flows to other machines' ports of that number alone (ipv${family})`, async () => {
    // The flow gets a port of the node, at random, and keeps it.
    await using pod = await Pod.create(lab.node);
    const kind = "udp";
    const address = outsideAddress(family);
    const to = { address, port: UDP.hostPort };
    using server = TestSocket.open(lab.outside.namespace, {
      kind,
      family,
      local: to,
    });
    using client = TestSocket.open(neighbour.namespace, { kind, family });
    const seen = () => {
      client.send(new Uint8Array(8), to);
      return server.receive()?.from;
    };
    const before = seen();
    assertNotEquals(before?.port, client.local.port);
    await pod.sandbox.addPorts([UDP]);
    assertEquals(seen(), before);
  });

  Deno.test(`HP3 HP14 HP15 SCTP follows its mapping (ipv${family})`, async () => {
    const mapping = { ...UDP, protocol: "sctp" } as const;
    await using one = await Pod.create(lab.node, { ports: [mapping] });
    await using two = await Pod.create(lab.node);
    const { namespace } = lab.outside;
    const to = { address: nodeAddress(family), port: 8080 };
    assertEquals(associate(namespace, to, one)?.server, one.name);
    await one.sandbox.removePorts([mapping]);
    await two.sandbox.addPorts([mapping]);
    assertEquals(associate(namespace, to, two)?.server, two.name);
  });
}

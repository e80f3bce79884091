/**
 * Every kind of client × every protocol × both families, with real traffic: who answers, and whom the pod sees.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { connect, listen } from "../../src/namespace/pod_io.ts";
import { writeSysctl } from "../../src/namespace/sysctl.ts";
import { createLab, type Lab } from "../../src/testing/mod.ts";
import {
  ask,
  type AskOptions,
  FAMILIES,
  type Transport,
  TRANSPORTS,
} from "../support/ask.ts";
import { type Family, formatEndpoint } from "../support/sockets.ts";
import {
  gatewayAddress,
  loopbackAddress,
  nodeAddress,
  nodeAt,
  otherNodeAddress,
  outsideAddress,
  Pod,
} from "../support/pods.ts";
import { associate } from "./sctp.ts";

const HOST_PORT = 8080;
const CONTAINER_PORT = 80;
const SMALL = 64;
const LARGE = 3000;

/** The lab and its pods. */
interface Scene {
  readonly lab: Lab;
  /** The one with the host port. */
  readonly web: Pod;
  /** On the same node. */
  readonly neighbour: Pod;
  /** On the other node. */
  readonly remote: Pod;
}

let scene: Scene;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  const lab = stack.use(await createLab({ nodes: 2 }));
  const ports = (["tcp", "udp", "sctp"] as const).map((protocol) => ({
    protocol,
    hostPort: HOST_PORT,
    containerPort: CONTAINER_PORT,
  }));
  const one = nodeAt(lab.nodes, 0);
  scene = {
    lab,
    web: stack.use(await Pod.create(one, { name: "web", ports })),
    neighbour: stack.use(await Pod.create(one)),
    remote: stack.use(await Pod.create(nodeAt(lab.nodes, 1))),
  };
  // Refusals are to come at once, however many there are.
  writeSysctl(scene.web.namespace, "net.ipv4.icmp_ratelimit", "0");
  writeSysctl(scene.web.namespace, "net.ipv6.icmp.ratelimit", "0");
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** A client of the host port. */
interface Client {
  readonly requirement: string;
  readonly name: string;
  /** Where it is. */
  readonly from: (scene: Scene) => { readonly namespace: NetworkNamespace };
  /** Which address of the node it asks. */
  readonly to: (family: Family) => string;
  /** Whom the pod is to see. */
  readonly seenAs: (family: Family, scene: Scene) => string;
  /** The source address that it insists on. */
  readonly source?: (family: Family) => string;
  readonly families?: readonly Family[];
  /**
   * Bytes of a question and its answer, besides a small one.
   * @default LARGE: more than one packet, so that fragments and segments are translated too
   */
  readonly large?: number;
}

const theNode = ({ lab }: Scene) => nodeAt(lab.nodes, 0);

const CLIENTS: readonly Client[] = [
  {
    requirement: "HP1 HP2",
    name: "the outside host",
    from: ({ lab }) => lab.outside,
    to: nodeAddress,
    seenAs: outsideAddress,
  },
  {
    requirement: "HP4",
    name: "another node",
    from: ({ lab }) => nodeAt(lab.nodes, 1),
    to: nodeAddress,
    seenAs: otherNodeAddress,
  },
  {
    requirement: "HP5",
    name: "a pod of another node",
    from: ({ remote }) => remote,
    to: nodeAddress,
    seenAs: (family, { remote }) => remote.address(family),
  },
  {
    requirement: "HP6",
    name: "the node, by its own address,",
    from: theNode,
    to: nodeAddress,
    seenAs: nodeAddress,
  },
  {
    requirement: "HP6",
    name: "the node, by its gateway address,",
    from: theNode,
    to: gatewayAddress,
    seenAs: gatewayAddress,
  },
  {
    requirement: "HP7",
    name: "the node, by 127.0.0.1,",
    from: theNode,
    to: loopbackAddress,
    seenAs: gatewayAddress,
    families: [4],
  },
  {
    requirement: "HP7",
    name: "the node, by 127.0.1.1,",
    from: theNode,
    to: () => "127.0.1.1",
    seenAs: gatewayAddress,
    families: [4],
  },
  {
    requirement: "HP8",
    name: "the node, by ::1,",
    from: theNode,
    to: loopbackAddress,
    seenAs: gatewayAddress,
    families: [6],
    // The largest that is not fragmented: see the known limit of `loopbackReplies`.
    large: 1452,
  },
  {
    requirement: "HP12",
    name: "the node, by its loopback from its own address,",
    from: theNode,
    to: loopbackAddress,
    source: nodeAddress,
    seenAs: nodeAddress,
  },
  {
    requirement: "HP9",
    name: "a pod of the node",
    from: ({ neighbour }) => neighbour,
    to: nodeAddress,
    seenAs: (family, { neighbour }) => neighbour.address(family),
  },
  {
    requirement: "HP9",
    name: "a pod of the node, by its gateway,",
    from: ({ neighbour }) => neighbour,
    to: gatewayAddress,
    seenAs: (family, { neighbour }) => neighbour.address(family),
  },
  {
    requirement: "HP10",
    name: "the pod itself",
    from: ({ web }) => web,
    to: nodeAddress,
    seenAs: gatewayAddress,
  },
];

for (const client of CLIENTS) {
  for (const family of client.families ?? FAMILIES) {
    for (const transport of TRANSPORTS) {
      for (const size of [SMALL, client.large ?? LARGE]) {
        const name =
          `${client.requirement} ${client.name} reaches the pod with ${size} bytes (${transport}, ipv${family})`;
        Deno.test(name, () => asksByName(client, transport, family, size));
      }
      const refused =
        `${client.requirement} ${client.name} is refused when nobody listens in the pod (${transport}, ipv${family})`;
      Deno.test(refused, () => {
        const { namespace } = client.from(scene);
        const to = { address: client.to(family), port: HOST_PORT };
        assertEquals(
          ask(transport, namespace, to, [], localOf(client, family)),
          "refused",
        );
      });
    }
    if (client.source !== undefined) continue;
    Deno.test(`${client.requirement} ${client.name} moves 4 MB both ways through the host port (tcp, ipv${family})`, () =>
      echoes(client, family, 4_000_000));
    const name =
      `HP3 ${client.requirement} ${client.name} reaches the pod (sctp, ipv${family})`;
    Deno.test(name, () => {
      const { web } = scene;
      assertEquals(
        associate(
          client.from(scene).namespace,
          { address: client.to(family), port: HOST_PORT },
          web,
        ),
        {
          server: "web",
          client: client.seenAs(family, scene),
          port: CONTAINER_PORT,
        },
      );
    });
  }
}

function localOf({ source }: Client, family: Family): AskOptions {
  return source === undefined ? {} : { local: { address: source(family) } };
}

function asksByName(
  client: Client,
  transport: Transport,
  family: Family,
  size: number,
): void {
  const { web } = scene;
  using server = web.serve(transport, family, CONTAINER_PORT);
  const { namespace } = client.from(scene);
  const to = { address: client.to(family), port: HOST_PORT };
  const options = { ...localOf(client, family), size };
  assertEquals(ask(transport, namespace, to, [server], options), {
    server: "web",
    client: client.seenAs(family, scene),
    at: formatEndpoint({
      address: web.address(family),
      port: CONTAINER_PORT,
    }),
  });
}

/** Much at once: the kernel hands on segments larger than packets, whose checksums nobody has computed yet. */
async function echoes(
  { from, to }: Client,
  family: Family,
  size: number,
): Promise<void> {
  const port = CONTAINER_PORT;
  using listener = listen(scene.web.namespace, { port });
  using client = await connect(from(scene).namespace, {
    hostname: to(family),
    port: HOST_PORT,
  });
  using server = await listener.accept();
  const echoed = server.readable.pipeTo(server.writable);
  const sent = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) {
    crypto.getRandomValues(sent.subarray(at, at + 65536));
  }
  const reader = new Response(client.readable).bytes();
  const writer = client.writable.getWriter();
  await writer.write(sent);
  await client.closeWrite();
  const received = await reader;
  await echoed;
  assertEquals(received.length, size);
  assert(received.every((byte, i) => byte === sent[i]));
}

/**
 * Who gets a host port that two want: pods among themselves, and sockets of the node.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { openNode, type WaitingSocket } from "../../mod.ts";
import { SandboxError } from "../../src/errors.ts";
import { portElements } from "../../src/hostport/elements.ts";
import {
  hostIPsConflict,
  type PortMapping,
  toHostPort,
} from "../../src/hostport/mapping.ts";
import { TABLE } from "../../src/hostport/sets.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import {
  ask,
  FAMILIES,
  serve,
  type Transport,
  TRANSPORTS,
} from "../support/ask.ts";
import { TestSocket } from "../support/sockets.ts";
import { loopbackAddress, nodeAddress, nodeAt, Pod } from "../support/pods.ts";

const PORT = 8080;

let lab: Lab;
let node: LabNode;
/** Two pods that want the same. */
let one: Pod;
let two: Pod;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
  one = await Pod.create(node, { name: "one", namespace: "blue" });
  two = await Pod.create(node, { name: "two" });
});

Deno.test.afterAll(async () => {
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
  await lab[Symbol.asyncDispose]();
});

function mapping(
  hostIP: string | undefined,
  rest: Partial<PortMapping> = {},
): PortMapping {
  return {
    hostPort: PORT,
    containerPort: 80,
    ...hostIP === undefined ? {} : { hostIP },
    ...rest,
  };
}

/** The error of somebody who came second. */
async function refused(
  attempt: () => Promise<unknown>,
): Promise<SandboxError<"HostPortInUse">["context"]> {
  const error = await assertRejects(
    attempt,
    SandboxError<"HostPortInUse">,
  );
  assertEquals(error.code, "HostPortInUse");
  return error.context;
}

const HOST_IPS = [
  undefined,
  "0.0.0.0",
  "::",
  nodeAddress(4),
  nodeAddress(6),
  loopbackAddress(4),
  loopbackAddress(6),
];

for (const first of HOST_IPS) {
  for (const second of HOST_IPS) {
    const [a, b] = [first, second].map((text) =>
      text === undefined ? undefined : IpAddress.parse(text)
    );
    const conflict = hostIPsConflict(a, b);
    const requirement = !conflict ? "HP19" : first === second ? "HP17" : "HP18";
    Deno.test(`${requirement} a port on ${second ?? "all addresses"} ${conflict ? "is refused to" : "is for"} another pod beside one on ${first ?? "all addresses"}`, async () => {
      await one.sandbox.addPorts([mapping(first)]);
      try {
        const attempt = () => two.sandbox.addPorts([mapping(second)]);
        if (conflict) {
          const { hostIP, ...context } = await refused(attempt);
          assertEquals(context, {
            protocol: "tcp",
            hostPort: PORT,
            owner: one.title,
          });
          // The address that was asked for, or the wildcard of the family in which it failed.
          const families = FAMILIES.filter((family) =>
            [a, b].every((ip) => ip === undefined || ip.family === family)
          );
          const wildcards = { 4: "0.0.0.0", 6: "::" } as const;
          assertEquals(hostIP, second ?? wildcards[families[0] ?? 4]);
          assertEquals(two.sandbox.ports, []);
        } else {
          await attempt();
          assertEquals(two.sandbox.ports.length, 1);
        }
      } finally {
        await one.sandbox.removePorts([mapping(first)]);
        await two.sandbox.removePorts([mapping(second)]);
      }
    });
  }
}

Deno.test("HP17 the pod that came first keeps its port and its traffic", async () => {
  for (const transport of TRANSPORTS) {
    const wanted = mapping(undefined, { protocol: transport });
    await one.sandbox.addPorts([wanted]);
    try {
      await refused(() => two.sandbox.addPorts([wanted]));
      await refused(() =>
        node.node.createSandbox({ name: "three", ports: [wanted] })
      );
      for (const family of FAMILIES) {
        using server = one.serve(transport, family, 80);
        using other = two.serve(transport, family, 80);
        const address = nodeAddress(family);
        const answer = ask(
          transport,
          lab.outside.namespace,
          { address, port: PORT },
          [server, other],
        );
        assert(typeof answer === "object" && answer.server === "one");
      }
    } finally {
      await one.sandbox.removePorts([wanted]);
    }
  }
  const names = (await node.node.listSandboxes()).map(({ name }) => name);
  assertEquals(names, ["one", "two"]);
});

Deno.test("HP19 protocols do not conflict, and none said is TCP", async () => {
  await using tcp = await Pod.create(node, { ports: [mapping(undefined)] });
  await using udp = await Pod.create(node, {
    ports: [mapping(undefined, { protocol: "udp" })],
  });
  await using sctp = await Pod.create(node, {
    ports: [mapping(undefined, { protocol: "sctp" })],
  });
  for (
    const [owner, protocol] of [
      [tcp, "tcp"],
      [udp, "udp"],
      [sctp, "sctp"],
    ] as const
  ) {
    const context = await refused(() =>
      one.sandbox.addPorts([mapping("0.0.0.0", { protocol })])
    );
    assertEquals(context, {
      protocol,
      hostIP: "0.0.0.0",
      hostPort: PORT,
      owner: owner.title,
    });
  }
});

Deno.test("HP20 of three ports the third is taken: none is opened, whether at creation or later", async () => {
  await one.sandbox.addPorts([mapping(undefined, { protocol: "udp" })]);
  const wanted = [
    mapping(undefined, { hostPort: 9001 }),
    mapping(nodeAddress(4), { hostPort: 9002 }),
    mapping(undefined, { protocol: "udp" }),
  ];
  try {
    await refused(() => two.sandbox.addPorts(wanted));
    assertEquals(two.sandbox.ports, []);
    await refused(() =>
      node.node.createSandbox({ name: "three", ports: wanted })
    );
    assertEquals((await node.node.listSandboxes()).length, 2);
    // All that was not taken is free.
    await using third = await Pod.create(node, { ports: wanted.slice(0, 2) });
    assertEquals(third.sandbox.ports.length, 2);
  } finally {
    await one.sandbox.removePorts([mapping(undefined, { protocol: "udp" })]);
  }
});

/** A socket of the node, and which host IPs it is in the way of. */
interface NodeSocket {
  readonly address: string;
  readonly v6Only?: boolean;
  readonly name: string;
  readonly blocks: readonly (string | undefined)[];
}

const IPV4 = ["0.0.0.0", nodeAddress(4), loopbackAddress(4)];
const IPV6 = ["::", nodeAddress(6), loopbackAddress(6)];

const NODE_SOCKETS: readonly NodeSocket[] = [
  {
    address: "0.0.0.0",
    name: `0.0.0.0:${PORT}`,
    blocks: [undefined, ...IPV4],
  },
  { address: "::", name: `[::]:${PORT}`, blocks: [undefined, ...IPV6] },
  {
    address: "::",
    v6Only: false,
    name: `[::]:${PORT}`,
    blocks: [undefined, ...IPV4, ...IPV6],
  },
  {
    address: `::ffff:${nodeAddress(4)}`,
    v6Only: false,
    name: `${nodeAddress(4)}:${PORT}`,
    blocks: [undefined, "0.0.0.0", nodeAddress(4)],
  },
  ...[nodeAddress(4), loopbackAddress(4)].map((address) => ({
    address,
    name: `${address}:${PORT}`,
    blocks: [undefined, "0.0.0.0", address],
  })),
  ...[nodeAddress(6), loopbackAddress(6)].map((address) => ({
    address,
    name: `[${address}]:${PORT}`,
    blocks: [undefined, "::", address],
  })),
];

for (const transport of TRANSPORTS) {
  for (const { address, v6Only = true, name, blocks } of NODE_SOCKETS) {
    const kind = v6Only ? "" : ", an IPv6 socket that takes IPv4,";
    Deno.test(`HP17 a socket of the node on ${address}${kind} is not shadowed (${transport})`, async () => {
      using _socket = serve("node", node.namespace, {
        transport,
        address,
        port: PORT,
        v6Only,
      });
      for (const hostIP of HOST_IPS) {
        const wanted = mapping(hostIP, { protocol: transport });
        const attempt = () => one.sandbox.addPorts([wanted]);
        if (blocks.includes(hostIP)) {
          const { owner } = await refused(attempt);
          assertEquals(owner, `a socket of the node on ${name}`);
          assertEquals(one.sandbox.ports, []);
        } else {
          await attempt();
          await one.sandbox.removePorts([wanted]);
        }
      }
      // Another port, and another protocol, are free.
      const others: readonly PortMapping[] = [
        mapping(undefined, { protocol: transport, hostPort: PORT + 1 }),
        mapping(undefined, { protocol: otherTransport(transport) }),
        mapping(undefined, { protocol: "sctp" }),
      ];
      await one.sandbox.addPorts(others);
      await one.sandbox.removePorts(others);
      // A pod that is made does not get it either, nor one on the node's own network.
      for (const hostNetwork of [false, true]) {
        await refused(() =>
          node.node.createSandbox({
            name: "three",
            hostNetwork,
            ports: [{
              protocol: transport,
              hostPort: PORT,
              containerPort: PORT,
            }],
          })
        );
      }
    });
  }
}

function otherTransport(transport: Transport): Transport {
  return transport === "tcp" ? "udp" : "tcp";
}

Deno.test("HP17 a socket that may be shadowed is in nobody's way, and others are", async () => {
  const { name, stateDir } = node.node;
  const seen: WaitingSocket[] = [];
  await using other = await openNode({
    name,
    stateDir,
    netns: node.namespace,
    mayShadow: (socket) => {
      seen.push(socket);
      return socket.port === PORT;
    },
  });
  const pod = await other.openSandbox(one.sandbox.id);
  for (const transport of TRANSPORTS) {
    const at = { transport, address: nodeAddress(4) };
    using _kept = serve("node", node.namespace, { ...at, port: PORT });
    using _used = serve("node", node.namespace, { ...at, port: PORT + 1 });
    const wanted = mapping(undefined, { protocol: transport });
    await pod.addPorts([wanted]);
    await pod.removePorts([wanted]);
    await refused(() => pod.addPorts([{ ...wanted, hostPort: PORT + 1 }]));
    await refused(() => one.sandbox.addPorts([wanted]));
  }
  assertEquals(
    seen.map(({ address, port }) => `${address}:${port}`),
    TRANSPORTS.flatMap(() =>
      [PORT, PORT + 1].map((port) => `${nodeAddress(4)}:${port}`)
    ),
  );
});

Deno.test("HP17 of many ports the one that a socket of the node waits on is named, and sockets between them are in nobody's way", async () => {
  const near = Array.from({ length: 10 }, (_, i) => PORT + 2 * i);
  const wanted = [...near, 30_000].flatMap((hostPort) =>
    (["tcp", "udp"] as const).map((protocol) =>
      mapping(undefined, { protocol, hostPort })
    )
  );
  const listen = (port: number) =>
    node.namespace.run(() => Deno.listen({ hostname: "127.0.0.1", port }));
  using _between = listen(PORT + 1);
  for (const hostPort of [PORT, PORT + 18, 30_000]) {
    using _socket = listen(hostPort);
    const context = await refused(() => two.sandbox.addPorts(wanted));
    assertEquals(context, {
      protocol: "tcp",
      hostIP: "0.0.0.0",
      hostPort,
      owner: `a socket of the node on 127.0.0.1:${hostPort}`,
    });
    assertEquals(two.sandbox.ports, []);
  }
  await two.sandbox.addPorts(wanted);
  await two.sandbox.removePorts(wanted);
});

Deno.test("HP17 sockets that wait for nobody are in nobody's way", async () => {
  // A client of another machine's port, from this port.
  for (const kind of TRANSPORTS) {
    using outside = serve("outside", lab.outside.namespace, {
      transport: kind,
      address: "192.168.50.254",
      port: 7000,
    });
    using client = TestSocket.open(node.namespace, {
      kind,
      family: 4,
      local: { port: PORT },
    });
    client.connect(outside.socket.local);
    const wanted = mapping(undefined, { protocol: kind });
    await one.sandbox.addPorts([wanted]);
    await one.sandbox.removePorts([wanted]);
    if (kind === "tcp") outside.socket.accept().socket[Symbol.dispose]();
  }
});

Deno.test("HP17 a pod on the node's own network does not get a port that leads to another pod", async () => {
  for (const protocol of ["tcp", "udp", "sctp"] as const) {
    for (const hostIP of HOST_IPS) {
      await one.sandbox.addPorts([mapping(hostIP, { protocol })]);
      try {
        const { owner } = await refused(() =>
          node.node.createSandbox({
            name: "three",
            hostNetwork: true,
            ports: [{ protocol, hostPort: PORT, containerPort: PORT }],
          })
        );
        assertEquals(owner, one.title);
      } finally {
        await one.sandbox.removePorts([mapping(hostIP, { protocol })]);
      }
    }
  }
  assertEquals((await node.node.listSandboxes()).length, 2);
});

Deno.test("HP17 ports of a pod conflict among themselves before anything is done", async () => {
  await one.sandbox.addPorts([mapping(undefined)]);
  try {
    for (const hostIP of HOST_IPS) {
      const error = await assertRejects(
        () => one.sandbox.addPorts([mapping(hostIP, { containerPort: 81 })]),
        SandboxError<"InvalidSpec">,
      );
      assertEquals(error.code, "InvalidSpec");
    }
    // The very same port is there already.
    await one.sandbox.addPorts([mapping(undefined)]);
    assertEquals(one.sandbox.ports.length, 1);
  } finally {
    await one.sandbox.removePorts([mapping(undefined)]);
  }
});

for (
  const [what, hostIP] of [
    ["the same", undefined],
    ["an overlapping", nodeAddress(4)],
  ] as const
) {
  Deno.test(`HP17 ${what} port of an element that nobody has signed is somebody else's`, async () => {
    using nft = node.namespace.run(() => NftablesConnection.open());
    const foreign = portElements(
      toHostPort({
        protocol: "tcp",
        hostPort: PORT,
        containerPort: 80,
        ...hostIP === undefined ? {} : { hostIP },
      }, [4]),
      IpAddress.parse(one.address(4)),
      "",
    ).map(({ set, element: { comment: _, ...element } }) => ({ set, element }));
    const added = new Transaction();
    const deleted = new Transaction();
    for (const { set, element } of foreign) {
      added.addElements(TABLE, set, [element]);
      deleted.deleteElements(TABLE, set, [element]);
    }
    nft.commit(added);
    try {
      const { owner } = await refused(() =>
        two.sandbox.addPorts([mapping(undefined)])
      );
      assertEquals(owner, "somebody else");
    } finally {
      nft.commit(deleted);
    }
  });
}

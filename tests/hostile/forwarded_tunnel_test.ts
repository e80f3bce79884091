/**
 * What a node forwards may get the node's address on its way. As such it must not get into a tunnel, wherever it came from.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { InterfaceSpec } from "../../mod.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { FAMILIES } from "../support/ask.ts";
import { port, portAddress } from "../support/bridged.ts";
import { command } from "../support/command.ts";
import { type Bytes, ipFrame, udpPacket } from "../support/frames.ts";
import { Wire } from "../support/packets.ts";
import { until } from "../support/patience.ts";
import {
  byFamily,
  nodeAddress,
  otherNodeAddress,
  outsideAddress,
  Pod,
} from "../support/pods.ts";
import { type Endpoint, TestSocket } from "../support/sockets.ts";
import {
  assertFails,
  type Attack,
  Battlefield,
  cutPackets,
  PORT,
  titleOf,
} from "./battlefield.ts";
import { ETH0, Eye } from "./scene.ts";

/** Of the second node, which the first does not know. */
const unknownAddress = byFamily("192.168.50.99", "fd50::99");
/** Of the second node in its pod CIDR. */
const farGateway = byFamily("10.244.2.1", "fd00:10:244:2::1");
/** Nobody's but a service's. */
const serviceAddress = byFamily("10.96.0.1", "fd96::1");
/** Of the container, which its node's address stands for. */
const translated = byFamily("172.17.0.2", "fd17::2");
/** An address of the container that nobody translates. */
const untranslated = byFamily("172.18.0.2", "fd18::2");
/** Of a service that leads to the tunnel of the second node: on the first node, and on the second. */
const SERVICE_PORT = 9999;
const HOST_PORT = 7777;
/** That an outer packet of a tunnel may come from. */
const OUTER_PORT = 45000;
/** Nobody listens there. */
const DISCARD = 9;

/** Who attacks, all on the first node. */
interface Attackers {
  /** A pod on a bridge of podnet's that masquerades. */
  readonly bridged: Pod;
  /** On somebody else's bridge, that masquerades too. */
  readonly container: NetworkNamespace;
  /** A pod with a host port. */
  readonly published: Pod;
}

const PASSED = { node: 0, chain: "past_tunnel", words: "local drop" } as const;

const attacksBy = (
  { bridged, container, published }: Attackers,
): readonly Attack[] => [
  {
    name:
      "a pod on a bridge sends to an address of another node that its own does not know",
    victim: 1,
    defences: [[PASSED]],
    attempt: ({ nodes: [, far], family }, inside) =>
      sendFrom(bridged.namespace, unknownAddress(family), inside, far),
  },
  {
    name: "it sends to another node",
    victim: 1,
    defences: [[PASSED]],
    attempt: ({ nodes: [, far], family }, inside) =>
      sendFrom(bridged.namespace, otherNodeAddress(family), inside, far),
  },
  {
    name: "a container of somebody else's sends to another node",
    victim: 1,
    defences: [[PASSED]],
    attempt: ({ nodes: [, far], family }, inside) =>
      sendFrom(container, otherNodeAddress(family), inside, far),
  },
  {
    name: "it cuts its packet in pieces",
    victim: 1,
    defences: [[PASSED]],
    attempt: async ({ nodes: [, far], family }, inside) => {
      const flow = {
        from: { address: translated(family), port: 40000 },
        to: { address: otherNodeAddress(family), port: PORT },
      };
      using wire = new Wire(container, ETH0);
      for (const packet of cutPackets(flow, inside)) {
        wire.send(ipFrame(packet, { to: DOCKER_MAC }));
      }
      using socket = TestSocket.open(container, { kind: "udp", family });
      await passed(socket, flow.to.address, far);
    },
  },
  {
    name: "it sends to the other node's gateway, where the tunnel listens too",
    victim: 1,
    defences: [[PASSED]],
    attempt: ({ nodes: [, far], family }, inside) =>
      sendFrom(container, farGateway(family), inside, far),
  },
  {
    name: "it sends to a service that leads to another node's tunnel",
    victim: 1,
    defences: [[PASSED]],
    attempt: async ({ nodes: [, far], family }, inside) => {
      using socket = TestSocket.open(container, { kind: "udp", family });
      const to = { address: serviceAddress(family), port: SERVICE_PORT };
      socket.send(inside, to);
      await passed(socket, otherNodeAddress(family), far);
    },
  },
  {
    name: "it sends to a service of another node that leads to its tunnel",
    victim: 1,
    defences: [[{ node: 1, chain: "into_tunnel", words: "dnat" }]],
    attempt: ({ nodes: [, far], family }, inside) =>
      sendFrom(container, otherNodeAddress(family), inside, far, SERVICE_PORT),
  },
  {
    name: "it claims to be its node",
    victim: 1,
    // Of IPv4 the kernel lets nobody.
    family: 6,
    defences: [[PASSED]],
    attempt: async ({ nodes: [, far], family }, inside) => {
      using wire = new Wire(container, ETH0);
      wire.send(ipFrame(
        udpPacket({
          from: { address: nodeAddress(family), port: 40000 },
          to: { address: otherNodeAddress(family), port: PORT },
        }, inside),
        { to: DOCKER_MAC },
      ));
      using socket = TestSocket.open(container, { kind: "udp", family });
      await passed(socket, otherNodeAddress(family), far);
    },
  },
  {
    name: "a pod answers by its host port what came from another node's tunnel",
    victim: 1,
    defences: [[PASSED]],
    attempt: async (field, inside) => {
      const { family } = field;
      const far = field.node(1);
      const local = { address: published.address(family), port: HOST_PORT };
      using server = TestSocket.open(published.namespace, {
        kind: "udp",
        family,
        local,
      });
      using wire = new Wire(far.namespace, ETH0);
      wire.send(ipFrame(
        udpPacket({
          from: { address: otherNodeAddress(family), port: PORT },
          to: { address: nodeAddress(family), port: HOST_PORT },
        }, new Uint8Array(1)),
        { to: MacAddress.parse("02:00:5e:02:00:01") },
      ));
      const question = server.receive();
      assertEquals(question?.from.port, PORT);
      server.send(inside, question?.from);
      await passed(server, otherNodeAddress(family), far);
    },
  },
];

async function sendFrom(
  from: NetworkNamespace,
  address: string,
  inside: Bytes,
  far: Machine | undefined,
  port = PORT,
): Promise<void> {
  const family = address.includes(":") ? 6 : 4;
  using socket = TestSocket.open(from, { kind: "udp", family });
  socket.send(inside, { address, port });
  await passed(socket, address, far);
}

interface Machine {
  readonly namespace: NetworkNamespace;
}

/** Waits until what a socket has sent to a machine is there, or is nowhere. */
async function passed(
  socket: TestSocket,
  address: string,
  machine: Machine | undefined,
): Promise<void> {
  if (machine === undefined) throw new Error("the lab has no second node");
  using eye = Eye.onUdp(machine.namespace);
  const mark = crypto.getRandomValues(new Uint8Array(16));
  socket.send(mark, { address, port: DISCARD });
  await until(() => eye.saw(mark), `nothing comes to ${address}`);
}

const DOCKER_MAC = MacAddress.parse("02:00:00:00:17:01");

/** A machine on a bridge of its node's, and rules as container engines have for it. */
function makeContainer({ namespace }: Machine): NetworkNamespace {
  const container = NetworkNamespace.create();
  command(
    namespace,
    `ip link add docker0 address ${DOCKER_MAC} type bridge
     ip link add veth0 type veth peer name eth0 index ${ETH0} netns /proc/${Deno.pid}/fd/${container.fd}
     ip link set veth0 master docker0 up
     ip addr add 172.17.0.1/16 dev docker0
     ip addr add fd17::1/64 dev docker0 nodad
     ip addr add 172.18.0.1/16 dev docker0
     ip addr add fd18::1/64 dev docker0 nodad
     ip link set docker0 up`,
  );
  addRules(
    namespace,
    `chain services {
       type nat hook prerouting priority dstnat
       ip daddr ${serviceAddress(4)} udp dport ${SERVICE_PORT} dnat ip to ${
      otherNodeAddress(4)
    }:${PORT}
       ip6 daddr ${serviceAddress(6)} udp dport ${SERVICE_PORT} dnat ip6 to [${
      otherNodeAddress(6)
    }]:${PORT}
     }
     chain sources {
       type nat hook postrouting priority srcnat
       ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
       ip6 saddr fd17::/64 oifname != "docker0" masquerade
     }`,
  );
  command(
    container,
    `ip addr add ${translated(4)}/16 dev eth0
     ip addr add ${translated(6)}/64 dev eth0 nodad
     ip addr add ${untranslated(4)}/16 dev eth0
     ip addr add ${untranslated(6)}/64 dev eth0 nodad preferred_lft 0
     ip link set eth0 up
     ip route add default via 172.17.0.1
     ip route add default via fd17::1`,
  );
  return container;
}

function addRules(namespace: NetworkNamespace, chains: string): void {
  command(
    namespace,
    `nft -f - <<'END'\ntable inet others {\n${chains}\n}\nEND`,
  );
}

const BRIDGED: InterfaceSpec = {
  ...port(11, { masquerade: true }),
  name: "eth0",
  defaultRoute: true,
};

for (const family of FAMILIES) {
  Deno.test(`what a node forwards over IPv${family} and tunnels`, async (t) => {
    await using field = await Battlefield.create(family, 1);
    const [near, far] = [field.node(0), field.node(1)];
    await using bridged = await Pod.create(near, {
      name: "bridged",
      attachment: { type: "none" },
      interfaces: [BRIDGED],
    });
    await using published = await Pod.create(near, {
      name: "published",
      ports: [{
        hostPort: HOST_PORT,
        containerPort: HOST_PORT,
        protocol: "udp",
      }],
    });
    using container = makeContainer(near);
    const prefix = family === 4 ? 24 : 64;
    command(
      far.namespace,
      `ip addr add ${unknownAddress(family)}/${prefix} dev eth0 ${
        family === 4 ? "" : "nodad"
      }`,
    );
    addRules(
      far.namespace,
      `chain services {
         type nat hook prerouting priority dstnat
         udp dport ${SERVICE_PORT} redirect to :${PORT}
       }`,
    );
    for (const attack of attacksBy({ bridged, container, published })) {
      if ((attack.family ?? family) !== family) continue;
      await t.step(titleOf(attack), () => assertFails(field, attack));
    }

    await t.step(
      "who sends from the tunnels' port does not get what nodes send to a tunnel",
      async () => {
        for (const thief of [bridged.namespace, container]) {
          using socket = TestSocket.open(thief, {
            kind: "udp",
            family,
            local: { port: PORT },
          });
          const to = { address: otherNodeAddress(family), port: OUTER_PORT };
          socket.send(Uint8Array.of(1), to);
          await passed(socket, to.address, far);
          // What a connection of the thief's would be answered by.
          const arrived = await field.reaches(0, (inside) => {
            using wire = new Wire(far.namespace, ETH0);
            wire.send(ipFrame(
              udpPacket({
                from: to,
                to: { address: nodeAddress(family), port: PORT },
              }, inside),
              { to: MacAddress.parse("02:00:5e:02:00:01") },
            ));
          });
          assertEquals(arrived, true);
        }
      },
    );

    await t.step("others use the port, who are seen as themselves", () => {
      const { victim, outside } = field;
      const seenBy = (
        { namespace }: Machine,
        address: string,
        from: NetworkNamespace,
        local?: Partial<Endpoint>,
      ) => {
        const at = { address, port: PORT };
        const options = { kind: "udp", family } as const;
        using server = TestSocket.open(namespace, { ...options, local: at });
        using client = TestSocket.open(from, {
          ...options,
          ...local && { local },
        });
        client.send(Uint8Array.of(1), at);
        return server.receive()?.from.address;
      };
      assertEquals(
        seenBy(victim, victim.address(family), bridged.namespace),
        portAddress(11)(family),
      );
      const own = untranslated(family);
      command(
        outside.namespace,
        `ip route add ${own} via ${nodeAddress(family)}`,
      );
      assertEquals(
        seenBy(outside, outsideAddress(family), container, { address: own }),
        own,
      );
    });
  });
}

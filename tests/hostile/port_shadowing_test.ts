/**
 * A pod whose connections to a client would have the client's own questions to the node taken for answers. Each line is an
 * attack, what stops it, and what comes of it.
 *
 * @module
 */
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { FAMILIES, type Transport, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
import {
  type Bytes,
  familyName,
  type Flow,
  ipFrame,
  ipPacket,
  PROTOCOL,
  tcpSyn,
  udp,
} from "../support/frames.ts";
import { Wire } from "../support/packets.ts";
import { until } from "../support/patience.ts";
import { nodeAddress, outsideAddress } from "../support/pods.ts";
import type { Family } from "../support/sockets.ts";
import { ETH0, Eye, ruleDefence, Scene, testAttacks } from "./scene.ts";

const HOST_PORT = 5060;
const NODE_PORT = 5061;
const FIRST_CLIENT = 30000;

let scene: Scene;
Deno.test.beforeAll(async () => {
  scene = await Scene.create({
    ports: TRANSPORTS.map((protocol) => ({
      protocol,
      hostPort: HOST_PORT,
      containerPort: HOST_PORT,
    })),
  });
  // As clients do that have a firewall: they answer nothing that they have not asked for, and do not end the connection.
  command(
    scene.outside.namespace,
    `nft -f - <<'END'
table inet firewall {
  chain input {
    type filter hook input priority 0; policy accept
    tcp dport >= ${FIRST_CLIENT} drop
  }
}
END`,
  );
});
Deno.test.afterAll(() => scene[Symbol.asyncDispose]().then());

let nextPort = FIRST_CLIENT;

/** Whether a client that the attacker has sent to from a port of the node asks the attacker when it asks that port. */
async function asksAttacker(
  { attacker, node, outside, wire, victim }: Scene,
  transport: Transport,
  family: Family,
  port: number,
): Promise<boolean> {
  // What the node remembers of a source it would do again.
  command(node.namespace, "conntrack -F 2> /dev/null");
  const client = { address: outsideAddress(family), port: nextPort++ };
  const baits = { address: attacker.address(family), port };
  wire.send(ipFrame(packet(transport, { from: baits, to: client })));
  const to = { address: nodeAddress(family), port };
  const question = packet(transport, { from: client, to });
  const header = family === 4 ? 20 : 40;
  // Ports, and the length of a datagram or the sequence number of a connection's beginning: not of the answer to the bait.
  const asked = question.subarray(header, header + 6);
  using atAttacker = Eye.onLinks(attacker.namespace);
  using rightful = port === HOST_PORT
    ? Eye.onLinks(victim.namespace)
    : Eye.onStack(node.namespace, [PROTOCOL[transport]]);
  using from = new Wire(outside.namespace, ETH0);
  from.send(ipFrame(question, { to: macOf(node.namespace) }));
  await until(() => rightful.saw(asked) || atAttacker.saw(asked));
  return atAttacker.saw(asked);
}

function packet(transport: Transport, flow: Flow): Bytes {
  return ipPacket({
    from: flow.from.address,
    to: flow.to.address,
    protocol: PROTOCOL[transport],
    payload: transport === "tcp" ? tcpSyn(flow) : udp(flow, new Uint8Array(99)),
  });
}

/** Of a machine's interface on the lab's segment. */
function macOf(namespace: NetworkNamespace): MacAddress {
  const [, mac = ""] = /ether (\S+)/.exec(
    command(namespace, `ip -o link | grep '^${ETH0}:'`),
  ) ?? [];
  return MacAddress.parse(mac);
}

testAttacks(
  () => scene,
  FAMILIES.flatMap((family) =>
    TRANSPORTS.flatMap((transport) =>
      ([[HOST_PORT, "another pod's host port"], [
        NODE_PORT,
        "a port of the node",
      ]] as const)
        .map(([port, whose]) => ({
          name: `a connection to a client from ${whose} (${transport}, ${
            familyName(family)
          })`,
          alone: [ruleDefence("masqueraded", "fully-random")],
          attempt: (scene: Scene) =>
            asksAttacker(scene, transport, family, port),
        }))
    )
  ),
);

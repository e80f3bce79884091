/**
 * What a pod sends to everybody on its link reaches no other pod: there is nobody else on the link. On a bridge, which
 * podnet does without, the very same frames do. Each line is an attack, what stops it, and what comes of it.
 *
 * @module
 */
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { MacAddress } from "../../src/net/mac.ts";
import { command } from "../support/command.ts";
import {
  arp,
  BROADCAST_MAC,
  type Bytes,
  concat,
  ETHERTYPE,
  FOREIGN_MAC,
  frame,
  ipFrame,
  ipPacket,
  PROTOCOL,
  udpPacket,
} from "../support/frames.ts";
import { gatewayAddress } from "../support/pods.ts";
import { Wire } from "../support/packets.ts";
import { ETH0, Eye, Scene, testHopeless } from "./scene.ts";
import { until } from "../support/patience.ts";

let scene: Scene;
let bridge: Bridge;
Deno.test.beforeAll(async () => {
  scene = await Scene.create();
  bridge = new Bridge();
});
Deno.test.afterAll(async () => {
  bridge[Symbol.dispose]();
  await scene[Symbol.asyncDispose]();
});

/** Two machines on a bridge, as pods are elsewhere. */
class Bridge implements Disposable {
  readonly attacker: NetworkNamespace;
  readonly victim: NetworkNamespace;
  readonly #owned = new DisposableStack();

  constructor() {
    const bridge = this.#owned.use(NetworkNamespace.create());
    [this.attacker, this.victim] = ["port1", "port2"].map((name) => {
      const machine = this.#owned.use(NetworkNamespace.create());
      command(
        bridge,
        `ip link add name ${name} type veth peer name eth0 index ${ETH0} netns /proc/${Deno.pid}/fd/${machine.fd}`,
      );
      command(machine, "ip link set eth0 up");
      return machine;
    }) as [NetworkNamespace, NetworkNamespace];
    command(
      bridge,
      "ip link add name segment type bridge mcast_snooping 0; for i in port1 port2 segment; do " +
        "[ $i = segment ] || ip link set $i master segment; ip link set $i up; done",
    );
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

/** Whether the frames reach the other machine of a bridge. */
async function arrivesOnBridge(
  craft: (mark: Bytes) => Bytes,
): Promise<boolean> {
  using wire = new Wire(bridge.attacker, ETH0);
  using eye = Eye.onLinks(bridge.victim);
  const mark = crypto.getRandomValues(new Uint8Array(16));
  // A link that has just come up carries nothing until the kernel has noticed its carrier.
  await until(() => {
    wire.send(craft(mark));
    return eye.saw(mark);
  }, "nothing arrived on the bridge");
  return true;
}

function datagram(from: string, to: string, port: number, mark: Bytes): Bytes {
  return udpPacket(
    { from: { address: from, port }, to: { address: to, port } },
    mark,
  );
}

/** What everybody hears, by name. */
const CALLS: readonly (readonly [
  string,
  (from: (family: 4 | 6) => string, mark: Bytes) => Bytes,
])[] = [
  [
    "a broadcast",
    (from, mark) =>
      ipFrame(datagram(from(4), "255.255.255.255", 9, mark), {
        to: BROADCAST_MAC,
      }),
  ],
  [
    "a broadcast to the pod CIDR",
    (from, mark) =>
      ipFrame(datagram(from(4), "10.244.1.255", 9, mark), {
        to: BROADCAST_MAC,
      }),
  ],
  [
    "a DHCP offer",
    (from, mark) =>
      ipFrame(
        udpPacket({
          from: { address: from(4), port: 67 },
          to: { address: "255.255.255.255", port: 68 },
        }, mark),
        { to: BROADCAST_MAC },
      ),
  ],
  [
    "an answer by multicast DNS",
    (from, mark) =>
      ipFrame(datagram(from(4), "224.0.0.251", 5353, mark), {
        to: MacAddress.parse("01:00:5e:00:00:fb"),
      }),
  ],
  [
    "the same by IPv6",
    (from, mark) =>
      ipFrame(datagram(from(6), "ff02::fb", 5353, mark), {
        to: MacAddress.parse("33:33:00:00:00:fb"),
      }),
  ],
  [
    "an IGMP query",
    (from, mark) =>
      ipFrame(
        ipPacket({
          from: from(4),
          to: "224.0.0.1",
          protocol: PROTOCOL.igmp,
          payload: concat([0x11, 0, 0, 0, 0, 0, 0, 0], mark),
        }),
        { to: MacAddress.parse("01:00:5e:00:00:01") },
      ),
  ],
  [
    "ARP that says the gateway is the pod",
    (_from, mark) =>
      frame(
        ETHERTYPE.arp,
        concat(
          arp({
            operation: "reply",
            sender: [FOREIGN_MAC, gatewayAddress(4)],
            target: [BROADCAST_MAC, gatewayAddress(4)],
          }),
          mark,
        ),
        { to: BROADCAST_MAC },
      ),
  ],
  [
    "a frame of LLDP",
    (_from, mark) => frame(ETHERTYPE.lldp, mark, { to: BROADCAST_MAC }),
  ],
];

testHopeless(
  () => scene,
  CALLS.map(([name, craft]) => ({
    name: `${name} reaches another pod`,
    by: "a link of its own",
    attempt: (scene: Scene) =>
      scene.arrives(
        scene.targetVictim(4),
        (mark) => [craft((family) => scene.attacker.address(family), mark)],
        "onLinks",
      ),
    elsewhere: "on a bridge",
    control: (scene: Scene) =>
      arrivesOnBridge((mark) =>
        craft((family) => scene.attacker.address(family), mark)
      ),
  })),
);

/**
 * Connections are looked for on another thread, for all together who ask meanwhile.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ConntrackFilter,
  listConntrack,
} from "../../src/conntrack/conntrack.ts";
import { ConntrackWalks } from "../../src/conntrack/walks.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_NETFILTER } from "../../src/netlink/message.ts";
import { SocketTransport } from "../../src/netlink/transport.ts";
import { command } from "../support/command.ts";

const PORTS = [53, 54, 55, 56] as const;

/** A namespace that tracks one IPv6 connection to each of the ports, and one of IPv4. */
class Tracked implements Disposable {
  readonly namespace = NetworkNamespace.create();
  readonly connection: Connection;
  readonly walks: ConntrackWalks;
  /** How often the kernel was asked on the thread of the walks. */
  asked = 0;

  /** @param onAsk called before the kernel is asked on another thread */
  constructor(onAsk: () => void = () => {}, few?: number) {
    const { namespace } = this;
    for (const port of PORTS) {
      command(
        namespace,
        `conntrack -I -t 300 -p udp -s fd00::1 -d fd00::9 --sport 1000 --dport ${port}`,
      );
    }
    command(
      namespace,
      "conntrack -I -t 300 -p udp -s 192.0.2.1 -d 192.0.2.9 --sport 1000 --dport 53",
    );
    const [connection, transport] = namespace.run(() =>
      [
        Connection.open(NETLINK_NETFILTER),
        SocketTransport.open(NETLINK_NETFILTER),
      ] as const
    );
    this.connection = connection;
    const own = new Connection({
      send: (datagram) => transport.send(datagram),
      sendAsync: (datagram) => {
        onAsk();
        this.asked++;
        return transport.sendAsync(datagram);
      },
      receive: () => transport.receive(),
      [Symbol.dispose]: () => transport[Symbol.dispose](),
    });
    this.walks = new ConntrackWalks(connection, own, few);
  }

  /** Destination ports of what is tracked. */
  left(family: 4 | 6): (number | undefined)[] {
    return listConntrack(this.connection, { family })
      .map(({ original }) => original.destinationPort).sort();
  }

  [Symbol.dispose](): void {
    this.walks[Symbol.dispose]();
    this.connection[Symbol.dispose]();
    this.namespace[Symbol.dispose]();
  }
}

/** Of a port of UDP: SCTP and IPv6 addresses are what the kernel cannot forget by itself. */
function toPort(port: number): ConntrackFilter {
  return {
    family: 6,
    protocol: 17,
    originalDestinationPort: port,
    originalDestination: IpAddress.parse("fd00::9"),
  };
}

Deno.test("what the kernel forgets by itself is forgotten at once", () => {
  using tracked = new Tracked();
  const filter = {
    family: 4,
    protocol: 17,
    originalDestinationPort: 53,
  } as const;
  assertEquals(tracked.walks.forget([filter]), undefined);
  assertEquals(tracked.walks.forget([]), undefined);
  assertEquals(tracked.left(4), []);
  assertEquals(tracked.left(6), [...PORTS]);
  assertEquals(tracked.asked, 0);
});

Deno.test("those who ask while connections are looked for are answered together, the event loop goes on, and others' connections stay", async () => {
  using tracked = new Tracked();
  let isDone = false;
  const first = tracked.walks.forget([toPort(53)]);
  assert(first !== undefined);
  void first.then(() => isDone = true);
  const others = [54, 55].map((port) => tracked.walks.forget([toPort(port)]));
  // The kernel is at it, and this goes on.
  await Promise.resolve();
  assertEquals(isDone, false);
  await first;
  await Promise.all(others);
  assertEquals(tracked.left(6), [56]);
  assertEquals(tracked.left(4), [53]);
  assertEquals(tracked.asked, 2);
});

Deno.test("where many are tracked those are answered together who ask for the same port", async () => {
  using tracked = new Tracked(() => {}, 0);
  await Promise.all(
    [53, 54, 55, 54].map((port) => tracked.walks.forget([toPort(port)])),
  );
  assertEquals(tracked.left(6), [56]);
  assertEquals(tracked.asked, 3);
});

Deno.test("without anything tracked nobody is asked", () => {
  using tracked = new Tracked();
  command(tracked.namespace, "conntrack -F");
  assertEquals(tracked.walks.forget([toPort(53)]), undefined);
  assertEquals(tracked.asked, 0);
});

Deno.test("a walk that fails fails for those who wait for it, and for no others", async () => {
  let fails = true;
  using tracked = new Tracked(() => {
    if (fails) throw new Error("no memory");
  });
  await assertRejects(
    () => tracked.walks.forget([toPort(53)]) ?? Promise.resolve(),
    Error,
    "no memory",
  );
  fails = false;
  await tracked.walks.forget([toPort(53)]);
  assertEquals(tracked.left(6), [54, 55, 56]);
});

Deno.test("closed while connections are looked for, it closes its own connection afterwards", async () => {
  using tracked = new Tracked();
  const waiting = tracked.walks.forget([toPort(53)]);
  tracked.walks[Symbol.dispose]();
  await waiting;
  assertEquals(tracked.left(6), [54, 55, 56]);
});

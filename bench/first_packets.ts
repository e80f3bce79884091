/**
 * Whether the first packet of a pod arrives: a datagram to the node and the
 * answer to it, in each IP version, right after the pod was made.
 *
 * @module
 */
import { NetworkNamespace } from "../mod.ts";
import { familyOf, TestSocket } from "../tests/support/sockets.ts";

const PORT = 7;
/** A packet that is not lost is there at once: the kernel carries it within the call that sends it. */
const PATIENCE_MS = 50;

/** The node's side: a socket on each gateway address. */
export class FirstPackets implements Disposable {
  readonly #home = NetworkNamespace.current();
  readonly #servers = new Map<string, TestSocket>();

  #server(gateway: string): TestSocket {
    const found = this.#servers.get(gateway);
    if (found !== undefined) return found;
    const server = TestSocket.open(this.#home, {
      kind: "udp",
      family: familyOf(gateway),
      local: { address: gateway, port: PORT },
    });
    this.#servers.set(gateway, server);
    return server;
  }

  /** Sends one from each of the pod's addresses to the gateway of its version, and back; whether all arrived. */
  arrive(
    netnsPath: string,
    addresses: readonly string[],
    gateways: readonly string[],
  ): boolean {
    using pod = NetworkNamespace.open(netnsPath);
    return addresses.every((address) => {
      const gateway = gateways.find((gateway) =>
        familyOf(gateway) === familyOf(address)
      );
      if (gateway === undefined) throw new RangeError(`gateway of ${address}`);
      const server = this.#server(gateway);
      using client = TestSocket.open(pod, {
        kind: "udp",
        family: familyOf(address),
        local: { address },
      });
      const data = new Uint8Array([1]);
      client.send(data, { address: gateway, port: PORT });
      const arrived = server.receive(PATIENCE_MS);
      if (arrived === undefined) return false;
      server.send(data, arrived.from);
      return client.receive(PATIENCE_MS) !== undefined;
    });
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers.values()) server[Symbol.dispose]();
    this.#home[Symbol.dispose]();
  }
}

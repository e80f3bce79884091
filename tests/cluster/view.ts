/**
 * What tests of paths look at: the kernel's state as text, and connections that must live.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { PathOptions } from "../../mod.ts";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { command } from "../support/command.ts";
import type { Pod } from "../support/pods.ts";
import { TestSocket } from "../support/sockets.ts";

/** The options of a lab's paths. */
export const CLUSTER: PathOptions = {
  clusterCidrs: ["10.244.0.0/16", "fd00:10:244::/48"],
};

/** All that paths are made of, as ip(8), bridge(8) and nft(8) tell it. */
export function shown(
  { namespace }: { readonly namespace: NetworkNamespace },
): string {
  const link = (line: string) =>
    `! ip link show podnet-vx4 > /dev/null 2>&1 || ${line}`;
  return command(
    namespace,
    [
      "ip -d link show type vxlan | sed 's/^[0-9]*: //'",
      "ip route show",
      "ip -6 route show",
      "ip route show table 7113 2> /dev/null || true",
      "ip -6 route show table 7113 2> /dev/null || true",
      "ip rule show",
      "ip -6 rule show",
      link("ip address show dev podnet-vx4 | grep inet || true"),
      link("ip neighbour show dev podnet-vx4 | sort"),
      link("bridge fdb show dev podnet-vx4 | sort"),
      "for set in peers4 peers6 tunnel_ports tunnel_sources4 tunnelled4; do nft list set inet podnet $set; done",
    ].join("\n"),
  );
}

/** A TCP connection between two pods, which lives as long as this. */
export class Conversation implements Disposable {
  readonly #client: TestSocket;
  readonly #server: TestSocket;
  readonly #listener: TestSocket;

  constructor(client: Pod, server: Pod) {
    const local = { address: server.address(4), port: 7777 };
    this.#listener = TestSocket.open(server.namespace, {
      kind: "tcp",
      family: 4,
      local,
    });
    this.#listener.listen();
    this.#client = TestSocket.open(client.namespace, {
      kind: "tcp",
      family: 4,
    });
    this.#client.connect(local);
    this.#server = this.#listener.accept().socket;
  }

  /** Says something in both directions. */
  goesOn(): void {
    for (
      const [from, to] of [
        [this.#client, this.#server],
        [this.#server, this.#client],
      ] as const
    ) {
      const said = crypto.getRandomValues(new Uint8Array(32));
      from.send(said);
      assertEquals(to.receiveExactly(32), said);
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
    this.#server[Symbol.dispose]();
    this.#listener[Symbol.dispose]();
  }
}

/**
 * The segment that the machines of a lab are on: a bridge in a namespace of its own.
 *
 * @module
 */
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import type { Cidr } from "../net/cidr.ts";
import { IpAddress } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { newAddress } from "../rtnetlink/address.ts";
import {
  LOOPBACK_INDEX,
  newLink,
  newVeth,
  setLink,
} from "../rtnetlink/link.ts";

const BRIDGE_INDEX = 2;
const FIRST_PORT_INDEX = 100;

/** An Ethernet segment. */
export class Underlay implements Disposable {
  /** Index of a machine's interface on the segment, `eth0`; of a router's on the next segment one more, and so on. */
  static readonly HOST_INDEX = 2;
  readonly #namespace: NetworkNamespace;
  readonly #route: Connection;

  constructor() {
    using opened = new DisposableStack();
    this.#namespace = opened.use(NetworkNamespace.create());
    this.#route = opened.use(
      this.#namespace.run(() => Connection.open(NETLINK_ROUTE)),
    );
    this.#route.execute([
      newLink({
        name: "segment",
        index: BRIDGE_INDEX,
        // Snooping needs a querier, and without one it would drop neighbour discovery.
        info: { bridge: { mcastSnooping: 0 } },
      }),
      setLink({ index: BRIDGE_INDEX, up: true }),
    ]);
    opened.move();
  }

  /**
   * Gives a machine an interface on the segment.
   *
   * @param which its interfaces count from 0, which is `eth0`
   */
  attach(
    machine: NetworkNamespace,
    number: number,
    addresses: readonly IpAddress[],
    cidrs: readonly Cidr[],
    which = 0,
  ): void {
    const port = FIRST_PORT_INDEX + number;
    const index = Underlay.HOST_INDEX + which;
    this.#route.execute([
      newVeth({
        name: `port${number}`,
        index: port,
        mac: mac(0x01, number),
        peer: {
          name: `eth${which}`,
          index,
          mac: mac(0x02, number),
          namespaceFd: machine.fd,
        },
      }),
      setLink({ index: port, master: BRIDGE_INDEX }),
      setLink({ index: port, up: true }),
    ]);
    using route = machine.run(() => Connection.open(NETLINK_ROUTE));
    route.execute([
      setLink({ index: LOOPBACK_INDEX, up: true }),
      setLink({ index, addrGenMode: "none" }),
      setLink({ index, up: true }),
      ...[
        ...addresses.map((address, i) => ({
          address,
          prefixLength: cidrs[i]?.prefixLength ?? 0,
        })),
        // A router asks for its neighbours from its link-local address; the kernel's own would take a second to check.
        { address: linkLocal(number), prefixLength: 64 },
      ].map((address) => newAddress({ ...address, index, noDad: true })),
    ]);
  }

  /** Takes the segment away; machines lose their interface. */
  [Symbol.dispose](): void {
    this.#route[Symbol.dispose]();
    this.#namespace[Symbol.dispose]();
  }
}

function linkLocal(number: number): IpAddress {
  return IpAddress.parse(`fe80::${number.toString(16)}`);
}

function mac(end: number, number: number): MacAddress {
  return MacAddress.fromBytes(
    Uint8Array.of(0x02, 0, 0x5e, end, number >> 8, number & 0xff),
  );
}

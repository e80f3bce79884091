/**
 * The segments of a lab, and the router between them.
 *
 * @module
 */
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { writeSysctl } from "../namespace/sysctl.ts";
import { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { newRoute } from "../rtnetlink/route.ts";
import { Underlay } from "./underlay.ts";

/** Number of the router on each segment; that of the outside host is the next. */
const ROUTER_NUMBER = 253;

/** Segments; where there are several, a router is on all of them, and everybody's default route. */
export class Segments implements Disposable {
  /** Between them, where there are several. */
  readonly router: NetworkNamespace | undefined;
  readonly #segments: readonly Segment[];
  readonly #owned: DisposableStack;

  /** @param families IP versions of the segments */
  constructor(count: number, families: readonly (4 | 6)[]) {
    using owned = new DisposableStack();
    this.#segments = Array.from({ length: count }, (_, i) => ({
      underlay: owned.use(new Underlay()),
      cidrs: families.map((family) => segmentCidr(i, family)),
    }));
    if (count > 1) {
      const router = this.router = owned.use(NetworkNamespace.create());
      for (const [i, { underlay, cidrs }] of this.#segments.entries()) {
        underlay.attach(router, ROUTER_NUMBER, routersOf(cidrs), cidrs, i);
      }
      if (families.includes(4)) {
        writeSysctl(router, "net/ipv4/ip_forward", "1");
        // As routers of providers do: packets with a source that is not of the segment go nowhere.
        for (
          const name of [
            "all",
            ...this.#segments.map((_, i) => `eth${i}`),
          ]
        ) {
          writeSysctl(router, `net/ipv4/conf/${name}/rp_filter`, "1");
        }
      }
      if (families.includes(6)) {
        writeSysctl(router, "net/ipv6/conf/all/forwarding", "1");
      }
    }
    this.#owned = owned.move();
  }

  /**
   * Makes a machine.
   *
   * @param which its segment, from 0
   * @param number its number on it, and in its addresses
   * @returns the machine, for its caller to own, and its addresses, one of each IP version of the segment
   */
  add(
    which: number,
    number: number,
  ): { readonly namespace: NetworkNamespace; readonly addresses: IpAddress[] } {
    const segment = this.#segments[which % this.#segments.length];
    if (segment === undefined) throw new RangeError(`no segment ${which}`);
    const { underlay, cidrs } = segment;
    const namespace = NetworkNamespace.create();
    try {
      const addresses = cidrs.map((cidr) => cidr.at(BigInt(number)));
      underlay.attach(namespace, number, addresses, cidrs);
      if (this.#segments.length > 1) addDefaultRoutes(namespace, cidrs);
      return { namespace, addresses };
    } catch (error) {
      namespace[Symbol.dispose]();
      throw error;
    }
  }

  /** Takes them away; machines lose their interface. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

interface Segment {
  readonly underlay: Underlay;
  readonly cidrs: readonly Cidr[];
}

function segmentCidr(which: number, family: 4 | 6): Cidr {
  return Cidr.parse(
    family === 4 ? `192.168.${50 + which}.0/24` : `fd${50 + which}::/64`,
  );
}

function routersOf(cidrs: readonly Cidr[]): IpAddress[] {
  return cidrs.map((cidr) => cidr.at(BigInt(ROUTER_NUMBER)));
}

function addDefaultRoutes(
  namespace: NetworkNamespace,
  cidrs: readonly Cidr[],
): void {
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  route.execute(
    routersOf(cidrs).map((gateway) =>
      newRoute({
        destination: "default",
        family: gateway.family,
        gateway,
        index: Underlay.HOST_INDEX,
      })
    ),
  );
}

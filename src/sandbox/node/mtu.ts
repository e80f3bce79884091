/**
 * The MTU that pods get by default.
 *
 * @module
 */
import { IpAddress } from "../../net/ip.ts";
import type { Connection } from "../../netlink/connection.ts";
import { NetlinkError } from "../../netlink/netlink_error.ts";
import { getLink, LOOPBACK_INDEX } from "../../rtnetlink/link.ts";
import { getRoute } from "../../rtnetlink/route.ts";

const ETHERNET_MTU = 1500;

/** Addresses that only a default route leads to: nobody is to have them (RFC 5737, RFC 3849). */
const OUTSIDE = ["192.0.2.1", "2001:db8::1"].map((text) =>
  IpAddress.parse(text)
);

/** The smallest MTU in bytes of the links that lead to the outside world; 1500 when none does. */
export function outsideMtu(route: Connection): number {
  const found = OUTSIDE.flatMap((address) => {
    try {
      return route.request(getRoute(address)).flatMap(({ index }) =>
        index === undefined || index === LOOPBACK_INDEX
          ? []
          : route.request(getLink({ index })).map(({ mtu }) => mtu)
      );
    } catch (error) {
      if (error instanceof NetlinkError) return []; // no route
      throw error;
    }
  });
  return found.length === 0 ? ETHERNET_MTU : Math.min(...found);
}

/**
 * The network that a node shares with other nodes, as far as paths depend on it.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Cidr } from "../net/cidr.ts";
import { addressBits, IpAddress, type IpFamily } from "../net/ip.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { type Address, dumpAddresses } from "../rtnetlink/address.ts";
import {
  IFA_F_DEPRECATED,
  IFA_F_TEMPORARY,
  RT_SCOPE_UNIVERSE,
} from "../rtnetlink/constants.ts";
import { getLink, type Link, LOOPBACK_INDEX } from "../rtnetlink/link.ts";
import { getRoute, type Route } from "../rtnetlink/route.ts";

/** A network that a node has a link on: what is inside is reached without a router. */
export interface ConnectedNetwork {
  /** Canonical. */
  readonly network: string;
  /** Name of the link. */
  readonly link: string;
  /** Number of the link. */
  readonly index: number;
}

/** What a node has besides pods: plain data. */
export interface Underlay {
  /** The node's addresses, by which others reach it: the preferred one of each IP version first, IPv4 before IPv6. */
  readonly addresses: readonly string[];
  /** The smallest MTU of the links of these addresses, in bytes. */
  readonly mtu: number;
  /** Of all links that are up, but lo. */
  readonly networks: readonly ConnectedNetwork[];
}

/** Addresses that only a default route leads to: nobody is to have them (RFC 5737, RFC 3849). */
const OUTSIDE: Readonly<Record<IpFamily, IpAddress>> = {
  4: IpAddress.parse("192.0.2.1"),
  6: IpAddress.parse("2001:db8::1"),
};

/** Of a node without any address, which can have no path. */
const ETHERNET_MTU = 1500;

/**
 * Asks the kernel. The preferred address of an IP version is the one that the node shows to the outside world, or else its
 * first; with it comes one of each other network of the same link. Addresses that are on lo, of a link only, deprecated, temporary or not
 * this node's alone do not count.
 *
 * @param route of the protocol NETLINK_ROUTE, in the node's namespace
 * @throws {NetlinkError}
 */
export function readUnderlay(route: Connection): Underlay {
  const found = route.dump(dumpAddresses()).filter(isNodeAddress);
  const links = new Map<number, Link>();
  for (const { index } of found) {
    if (links.has(index)) continue;
    for (const link of route.request(getLink({ index }), Errno.ENODEV)) {
      if (link.up) links.set(index, link);
    }
  }
  const usable = found.filter(({ index }) => links.has(index));
  const own = ([4, 6] as const).flatMap((family) =>
    ownAddresses(usable.filter((one) => one.family === family), {
      outside: outsideRoute(route, family),
    })
  );
  const mtus = own.flatMap(({ index }) => links.get(index)?.mtu ?? []);
  return {
    addresses: own.map(({ address }) => String(address)),
    mtu: mtus.length === 0 ? ETHERNET_MTU : Math.min(...mtus),
    networks: usable.flatMap(({ index, address, prefixLength }) => {
      const link = links.get(index);
      // Nobody else is in a network of one address.
      return link === undefined || prefixLength === addressBits(address.family)
        ? []
        : [{
          network: String(Cidr.around(address, prefixLength)),
          link: link.name,
          index,
        }];
    }),
  };
}

/** As {@linkcode readUnderlay}, of a namespace in which there need be no node yet. */
export function underlayOf(namespace: NetworkNamespace): Underlay {
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  return readUnderlay(route);
}

/** The routers by which a namespace reaches the outside world, one of each IP version at most. */
export function defaultGateways(namespace: NetworkNamespace): string[] {
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  return ([4, 6] as const).flatMap((family) => {
    const gateway = outsideRoute(route, family)?.gateway;
    return gateway === undefined ? [] : String(gateway);
  });
}

/** All addresses of a namespace, of whatever link. */
export function allAddresses(namespace: NetworkNamespace): readonly string[] {
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  return route.dump(dumpAddresses()).map(({ address }) => String(address));
}

function isNodeAddress({ index, scope, duplicate, family, flags }: Address) {
  return index !== LOOPBACK_INDEX && scope === RT_SCOPE_UNIVERSE &&
    !duplicate && (flags & IFA_F_DEPRECATED) === 0 &&
    // The same bit means another thing with IPv4: a second address of a network.
    (family === 4 || (flags & IFA_F_TEMPORARY) === 0);
}

/**
 * The preferred one, and after it one of each other network of its link. Further ones of a network, and of none, may be a
 * service's that moves between nodes: two that claimed it at a time would be told apart, and one of them shut out.
 */
function ownAddresses(
  found: readonly Address[],
  { outside }: { readonly outside: Route | undefined },
): Address[] {
  const preferred =
    found.find(({ address }) => outside?.source?.equals(address)) ??
      found.find(({ index }) => index === outside?.index) ?? found[0];
  if (preferred === undefined) return [];
  const own = [preferred];
  for (const one of found) {
    const { index, address, family, prefixLength } = one;
    if (
      index === preferred.index && prefixLength < addressBits(family) &&
      !own.some((other) =>
        Cidr.around(other.address, other.prefixLength).contains(address)
      )
    ) own.push(one);
  }
  return own;
}

function outsideRoute(route: Connection, family: IpFamily): Route | undefined {
  const [found] = route.request(
    getRoute(OUTSIDE[family]),
    Errno.ENETUNREACH,
    Errno.EHOSTUNREACH,
    Errno.EACCES,
    Errno.EINVAL,
  );
  return found;
}

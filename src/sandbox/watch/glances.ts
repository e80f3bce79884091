/**
 * What the kernel's notices say at a glance, by their first bytes.
 *
 * @module
 */
import { HOST_MAC } from "../../attachment/pod_link.ts";
import { HOST_LITTLE_ENDIAN } from "../../netlink/bytes.ts";
import type { Glance } from "../../netlink/feed.ts";
import {
  IFF_LOWER_UP,
  IFF_UP,
  NUD_NOARP,
  RT_TABLE_COMPAT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWNETCONF,
  RTM_NEWROUTE,
} from "../../rtnetlink/constants.ts";
import { type Link, LOOPBACK_INDEX } from "../../rtnetlink/link.ts";
import { neighbour as neighbourCodec } from "../../rtnetlink/neighbour.ts";
import { ROUTE_PROTOCOL } from "../../rtnetlink/route.ts";

// linux/netconf.h
const NETCONFA_IFINDEX = 1;

/** What changes when somebody meddles with a link. */
export function stateOf(link: Link): string {
  const { name, alias, up, carrier, mtu, mac, master } = link;
  return [name, alias, up, carrier, mtu, mac, master].join(" ");
}

/** The same of a bridge, whose carrier and MTU come and go with its ports. */
export function stateOfBridge({ name, alias, group, up, mac }: Link): string {
  return [name, alias, group, up, mac].join(" ");
}

/** Whether it can be damage at all, by its header. */
export function matters({ type, from, body }: Glance): boolean {
  switch (type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      // struct rtmsg: family, dst_len, src_len, tos, table
      return from.bytes[body + 4] === RT_TABLE_MAIN;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      // struct ndmsg: state; multicast addresses are never asked for
      return (from.view.getUint16(body + 8, HOST_LITTLE_ENDIAN) & NUD_NOARP) ===
        0;
    case RTM_NEWLINK:
    case RTM_DELLINK:
    case RTM_DELADDR:
    case RTM_NEWNETCONF:
      return true;
    default:
      return false;
  }
}

/** In a pod: a route of an interface's own table, or the rule that leads there. */
export function isOfOwnTable({ type, from, body }: Glance): boolean {
  return type === RTM_DELRULE ||
    type === RTM_DELROUTE && from.bytes[body + 4] !== RT_TABLE_LOCAL;
}

/** By `struct ifinfomsg`: a link with a carrier, or lo, which has always one. */
export function isWorking(glance: Glance): boolean {
  const { from, body } = glance;
  const flags = from.view.getUint32(body + 8, HOST_LITTLE_ENDIAN);
  return (flags & IFF_UP) !== 0 && (flags & IFF_LOWER_UP) !== 0 ||
    indexOf(glance) === LOOPBACK_INDEX;
}

/** Whether a neighbour has the MAC of the node's end, for good. */
export function isGateway({ from, body, end }: Glance): boolean {
  const { mac, permanent } = neighbourCodec.read(from, body, end);
  return permanent && mac !== undefined && mac.equals(HOST_MAC);
}

/** By `struct rtmsg`: of podnet, in a table whose number the header has no room for. */
export function isClaimOnBridge(glance: Glance): boolean {
  const { from, body } = glance;
  return isOwnRoute(glance) && from.bytes[body + 4] === RT_TABLE_COMPAT;
}

/** By `struct rtmsg`. */
export function isOwnRoute({ from, body }: Glance): boolean {
  return from.bytes[body + 5] === ROUTE_PROTOCOL;
}

/** In ifinfomsg, ifaddrmsg and ndmsg alike. */
export function indexOf({ from, body }: Glance): number {
  return from.view.getInt32(body + 4, HOST_LITTLE_ENDIAN);
}

/** The first attribute after `struct netconfmsg`, which is one byte and padded (inet_netconf_fill_devconf). */
export function netconfIndexOf(
  { from, body, end }: Glance,
): number | undefined {
  const at = body + 4;
  if (at + 8 > end) return undefined;
  const id = from.view.getUint16(at + 2, HOST_LITTLE_ENDIAN);
  return id === NETCONFA_IFINDEX
    ? from.view.getInt32(at + 4, HOST_LITTLE_ENDIAN)
    : undefined;
}

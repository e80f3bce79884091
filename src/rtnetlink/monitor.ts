/**
 * Changes of links, addresses, routes and neighbours as they happen.
 *
 * @module
 */
import { type Codec, converted } from "../netlink/codec.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import {
  Subscription,
  type SubscriptionOptions,
} from "../netlink/subscription.ts";
import { AF_INET, AF_INET6 } from "../../ffi/socket.ts";
import { type Address, address } from "./address.ts";
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
} from "./constants.ts";
import { AF_UNSPEC } from "./family.ts";
import { type Link, link } from "./link.ts";
import { type Neighbour, neighbour } from "./neighbour.ts";
import { type Route, route } from "./route.ts";

/** The object of a change, under its name. */
export type Changed =
  | { readonly link: Link }
  | { readonly address: Address }
  | { readonly route: Route }
  | { readonly neighbour: Neighbour };

/** A change in the namespace: `set` when an object is new or different, `delete` when it is gone. */
export type Change = Changed & { readonly action: "set" | "delete" };

const topics = {
  link: {
    groups: [RTNLGRP_LINK],
    set: RTM_NEWLINK,
    delete: RTM_DELLINK,
    // A bridge tells of its ports as AF_BRIDGE, and "deletes" the port that leaves it (br_ifinfo_notify).
    families: [AF_UNSPEC],
    codec: converted(link, (link): Changed => ({ link })),
  },
  address: {
    groups: [RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR],
    set: RTM_NEWADDR,
    delete: RTM_DELADDR,
    families: [AF_INET, AF_INET6],
    codec: converted(address, (address): Changed => ({ address })),
  },
  route: {
    groups: [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE],
    set: RTM_NEWROUTE,
    delete: RTM_DELROUTE,
    families: [AF_INET, AF_INET6],
    codec: converted(route, (route): Changed => ({ route })),
  },
  neighbour: {
    groups: [RTNLGRP_NEIGH],
    set: RTM_NEWNEIGH,
    delete: RTM_DELNEIGH,
    // The forwarding tables of bridges are reported as AF_BRIDGE (fdb_notify).
    families: [AF_INET, AF_INET6],
    codec: converted(neighbour, (neighbour): Changed => ({ neighbour })),
  },
} as const;

/** What {@linkcode monitor} can report. */
export type Topic = keyof typeof topics;

/**
 * Reports the changes in the network namespace that the thread is in, from now on.
 *
 * IPv4 routes that vanish together with their link are not reported one by one (fib_sync_down_dev,
 * net/ipv4/fib_semantics.c): the link is.
 *
 * @throws {SyscallError}
 */
export function monitor(
  wanted: readonly Topic[],
  options: Pick<SubscriptionOptions<Change>, "signal"> = {},
): Subscription<Change> {
  const groups: number[] = [];
  const codecs = new Map<number, Codec<Change | undefined>>();
  for (const name of wanted) {
    const topic = topics[name];
    groups.push(...topic.groups);
    for (const action of ["set", "delete"] as const) {
      const codec = converted(
        topic.codec,
        (changed): Change => ({ ...changed, action }),
      );
      codecs.set(topic[action], ofFamilies(topic.families, codec));
    }
  }
  const protocol = NETLINK_ROUTE;
  return Subscription.open({ ...options, protocol, groups, codecs });
}

/** Reads messages of these address families only; the family is the first byte of every body. */
function ofFamilies<T>(
  families: readonly number[],
  codec: Codec<T>,
): Codec<T | undefined> {
  return {
    ...codec,
    read: (from, start, end) =>
      families.includes(from.bytes[start] ?? NaN)
        ? codec.read(from, start, end)
        : undefined,
  };
}

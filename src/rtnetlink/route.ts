/**
 * Routes.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import { addressBits, IpAddress, type IpFamily } from "../net/ip.ts";
import { type Codec, converted, type Infer } from "../netlink/codec.ts";
import {
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Request,
} from "../netlink/message.ts";
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RT_TABLE_UNSPEC,
  RTM_DELROUTE,
  RTM_F_FIB_MATCH,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_BLACKHOLE,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTNH_F_LINKDOWN,
  RTNH_F_ONLINK,
  RTPROT_UNSPEC,
} from "./constants.ts";
import { familyNumber, ipFamily } from "./family.ts";
import { type RouteAttrs, routeMessage } from "./tables.ts";

/**
 * The routing protocol number that marks every route of podnet (`rtm_protocol`). The kernel hands values from 4 on back as
 * they are; 112 is not among those that linux/rtnetlink.h or iproute2 give a name.
 */
export const ROUTE_PROTOCOL = 112;

/** The body of a route message. */
export type RouteMessage = Infer<typeof routeMessage>;

/** Where a route leads to: a network, or everything that no other route matches. */
export type Destination = Cidr | "default";

const types = {
  unicast: RTN_UNICAST,
  local: RTN_LOCAL,
  blackhole: RTN_BLACKHOLE,
  unreachable: RTN_UNREACHABLE,
  prohibit: RTN_PROHIBIT,
} as const;

/** What happens to a packet that a route matches. */
export type RouteType = keyof typeof types;

/** A route as the kernel reports it. */
export interface Route {
  /** IP version. */
  readonly family: IpFamily;
  /** What it matches. */
  readonly destination: Destination;
  /** What happens to the packet; a number for kinds that have no name here. */
  readonly type: RouteType | number;
  /** Number of the link that the packet leaves by. */
  readonly index?: number;
  /** The next hop, if it is not the destination itself. */
  readonly gateway?: IpAddress;
  /** Source address for packets of this node that have none yet. */
  readonly source?: IpAddress;
  /** Who installed it; {@linkcode ROUTE_PROTOCOL} for podnet. */
  readonly protocol: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** Routing table. */
  readonly table: number;
  /** Metric; the smaller wins. */
  readonly priority?: number;
  /** The gateway is believed to be on the link. */
  readonly onlink: boolean;
  /** The link has no carrier. */
  readonly linkDown: boolean;
  /** The whole message. */
  readonly raw: RouteMessage;
}

/** The reply codec of route requests. */
export const route: Codec<Route> = converted(routeMessage, toRoute);

const typeNames = new Map<number, RouteType>(
  Object.entries(types).map(([name, n]) => [n, name as RouteType]),
);

function toRoute(raw: RouteMessage): Route {
  const { header, attrs } = raw;
  const { flags = 0, type = 0, dstLen = 0 } = header;
  return {
    family: ipFamily(header.family),
    destination: dstLen === 0 || attrs.dst === undefined
      ? "default"
      : Cidr.of(IpAddress.fromBytes(attrs.dst), dstLen),
    type: typeNames.get(type) ?? type,
    ...(attrs.oif === undefined ? {} : { index: attrs.oif }),
    ...(attrs.gateway === undefined
      ? {}
      : { gateway: IpAddress.fromBytes(attrs.gateway) }),
    ...(attrs.prefsrc === undefined
      ? {}
      : { source: IpAddress.fromBytes(attrs.prefsrc) }),
    protocol: header.protocol ?? 0,
    scope: header.scope ?? 0,
    table: attrs.table ?? header.table ?? 0,
    ...(attrs.priority === undefined ? {} : { priority: attrs.priority }),
    onlink: (flags & RTNH_F_ONLINK) !== 0,
    linkDown: (flags & RTNH_F_LINKDOWN) !== 0,
    raw,
  };
}

/** What a route matches: a network says its IP version itself. */
export type DestinationOptions =
  | { readonly destination: Cidr; readonly family?: IpFamily }
  | { readonly destination: "default"; readonly family: IpFamily };

/** What {@linkcode newRoute} and {@linkcode deleteRoute} have in common. */
export interface RouteOptions {
  /** Number of the link that the packet leaves by. */
  readonly index?: number;
  /** The next hop. */
  readonly gateway?: IpAddress;
  /** Metric; the smaller wins. */
  readonly priority?: number;
  /**
   * Routing table.
   * @default RT_TABLE_MAIN
   */
  readonly table?: number;
  /**
   * Who installs it, or who has installed the one to delete.
   * @default ROUTE_PROTOCOL
   */
  readonly protocol?: number;
}

/** Options of {@linkcode newRoute}. */
export type NewRouteOptions = DestinationOptions & RouteOptions & {
  /**
   * What happens to the packet.
   * @default "unicast"
   */
  readonly type?: RouteType;
  /**
   * Believe that the gateway is on the link, though no route leads to it.
   * @default false
   */
  readonly onlink?: boolean;
  /** Source address for packets of this node that have none yet (RTA_PREFSRC); the node must own it. */
  readonly source?: IpAddress;
  /**
   * RT_SCOPE_*.
   * @default the link for an IPv4 route without a gateway, everywhere for others
   */
  readonly scope?: number;
  /**
   * Refuse with EEXIST if the table has a route to the destination with the same metric, whatever its link.
   * Otherwise such a route is replaced.
   * @default false
   */
  readonly exclusive?: boolean;
};

/** Adds a route. Refused with ENETDOWN if its link is down. */
export function newRoute(options: NewRouteOptions): Request<RouteMessage> {
  const { source, onlink, type = "unicast" } = options;
  return routeRequest("add", RTM_NEWROUTE, options, {
    scope: options.scope ?? defaultScope(options, type),
    type: types[type],
    flags: onlink ? RTNH_F_ONLINK : 0,
  }, {
    ...(source === undefined ? {} : { prefsrc: source.bytes }),
  }, NLM_F_CREATE | (options.exclusive ? NLM_F_EXCL : NLM_F_REPLACE));
}

/** IPv4 tells distances by scope; IPv6 has none (ip-route(8)). */
function defaultScope(options: NewRouteOptions, type: RouteType): number {
  if (familyOf(options) === 6) return RT_SCOPE_UNIVERSE;
  if (type === "local") return RT_SCOPE_HOST;
  return type === "unicast" && options.gateway === undefined
    ? RT_SCOPE_LINK
    : RT_SCOPE_UNIVERSE;
}

/** Options of {@linkcode deleteRoute}. */
export type DeleteRouteOptions = DestinationOptions & RouteOptions;

/**
 * Deletes a route that has everything given here. Refused with ESRCH if there is none.
 *
 * By default only a route of podnet's own protocol: give `protocol: 0` for anybody's.
 */
export function deleteRoute(
  options: DeleteRouteOptions,
): Request<RouteMessage> {
  return routeRequest("delete", RTM_DELROUTE, options, {
    scope: RT_SCOPE_NOWHERE,
  }, {});
}

function familyOf({ destination, family }: DestinationOptions): IpFamily {
  if (destination === "default") return family;
  if (family !== undefined && family !== destination.family) {
    throw new TypeError(`${destination} is not an IPv${family} network`);
  }
  return destination.family;
}

function routeRequest(
  verb: string,
  type: number,
  options: DestinationOptions & RouteOptions,
  header: RouteMessage["header"],
  attrs: RouteAttrs,
  flags = 0,
): Request<RouteMessage> {
  const { destination, index, gateway, priority } = options;
  const { table = RT_TABLE_MAIN, protocol = ROUTE_PROTOCOL } = options;
  const family = familyOf(options);
  return {
    // Made when it is asked for: writing an address costs as much as encoding the whole message.
    get operation() {
      return `${verb} route ${
        destination === "default" ? `default (IPv${family})` : destination
      }`;
    },
    type,
    flags,
    codec: routeMessage,
    value: {
      header: {
        family: familyNumber(family),
        dstLen: destination === "default" ? 0 : destination.prefixLength,
        protocol,
        ...header,
        ...tableHeader(table),
      },
      attrs: {
        ...(destination === "default"
          ? {}
          : { dst: destination.network.bytes }),
        ...(index === undefined ? {} : { oif: index }),
        ...(gateway === undefined ? {} : { gateway: gateway.bytes }),
        ...(priority === undefined ? {} : { priority }),
        ...tableAttrs(table),
        ...attrs,
      },
    },
  };
}

/** The header has room for tables up to 255. */
function tableHeader(table: number): { table: number } {
  return { table: table > 255 ? RT_TABLE_UNSPEC : table };
}

function tableAttrs(table: number): RouteAttrs {
  return table > 255 ? { table } : {};
}

/** Asks by which route a packet to an address would go. Refused with ENETUNREACH if there is none. */
export function getRoute(address: IpAddress): Request<RouteMessage, Route> {
  return askForRoute("get route to", address, 0, route);
}

/** Asks what becomes of a packet to an address, as the kernel numbers it. Refused like {@linkcode getRoute}. */
export function getRouteType(
  address: IpAddress,
): Request<RouteMessage, number> {
  return askForRoute("get route to", address, 0, routeType);
}

/** Of `struct rtmsg` the one field. */
const routeType: Codec<number> = {
  type: "rtm_type",
  isScalar: true,
  write() {
    throw new TypeError("rtm_type is for reading only");
  },
  read: (from, start) => from.view.getUint8(start + 7),
};

function askForRoute<R>(
  operation: string,
  address: IpAddress,
  flags: number,
  reply: Codec<R>,
): Request<RouteMessage, R> {
  return {
    get operation() {
      return `${operation} ${address}`;
    },
    type: RTM_GETROUTE,
    flags: 0,
    codec: routeMessage,
    value: {
      header: {
        family: familyNumber(address.family),
        dstLen: addressBits(address.family),
        flags,
      },
      attrs: { dst: address.bytes },
    },
    reply,
    isAnswered: true,
  };
}

/**
 * Asks for the route itself by which a packet to an address would go, at a cost that does not depend on the size of the
 * table (RTM_F_FIB_MATCH). Refused with ENETUNREACH if there is none, EHOSTUNREACH if it is an unreachable one.
 */
export function matchRoute(address: IpAddress): Request<RouteMessage, Route> {
  return askForRoute("match a route to", address, RTM_F_FIB_MATCH, route);
}

/** Options of {@linkcode dumpRoutes}. */
export interface DumpRoutesOptions {
  /** Only routes of this IP version. */
  readonly family?: IpFamily;
  /** Only routes that this protocol has installed. */
  readonly protocol?: number;
  /** Only routes of this table; with a family, refused with ENOENT if there is no such table yet. */
  readonly table?: number;
  /** Only routes over the link with this number. */
  readonly index?: number;
  /** Only routes of this kind. */
  readonly type?: RouteType;
}

/** Asks for routes; the kernel applies the filters. */
export function dumpRoutes(
  options: DumpRoutesOptions = {},
): Request<RouteMessage, Route> {
  const { table = RT_TABLE_UNSPEC, index, type } = options;
  return {
    operation: "dump routes",
    type: RTM_GETROUTE,
    flags: 0,
    codec: routeMessage,
    value: {
      header: {
        family: familyNumber(options.family),
        protocol: options.protocol ?? RTPROT_UNSPEC,
        ...tableHeader(table),
        ...(type === undefined ? {} : { type: types[type] }),
      },
      attrs: {
        ...(index === undefined ? {} : { oif: index }),
        ...tableAttrs(table),
      },
    },
    reply: route,
  };
}

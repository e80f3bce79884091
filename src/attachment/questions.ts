/**
 * Questions for one thing of the kernel's that may not be there.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { IpAddress } from "../net/ip.ts";
import type { Connection } from "../netlink/connection.ts";
import type { Request } from "../netlink/message.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { getLink, type Link } from "../rtnetlink/link.ts";
import { matchRoute, type Route } from "../rtnetlink/route.ts";
import { NO_ROUTE } from "./address_claims.ts";

/** A link by its index. */
export function findLink(route: Connection, index: number): Link | undefined {
  return orNone(route, getLink({ index }), Errno.ENODEV);
}

/** The answer to a question for one thing, none when the kernel says so by one of these errors. */
export function orNone<R>(
  route: Connection,
  request: Request<unknown, R>,
  ...absent: readonly number[]
): R | undefined {
  try {
    return route.request(request).at(0);
  } catch (error) {
    if (isNetlinkError(error, ...absent)) return undefined;
    throw error;
  }
}

/** The alias of the pod's link by which the node reaches an address now, if it is one. */
export function podAt(
  route: Connection,
  address: IpAddress,
): string | undefined {
  return aliasAt(route, orNone(route, matchRoute(address), ...NO_ROUTE));
}

/** The alias of the link that a route leads to, if it is a pod's. */
export function aliasAt(
  route: Connection,
  way: Route | undefined,
): string | undefined {
  if (way?.index === undefined) return undefined;
  const alias = findLink(route, way.index)?.alias;
  return alias?.startsWith("podnet:") ? alias : undefined;
}

/**
 * Address families: the kernel's numbers and ours.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "../../ffi/socket.ts";
import type { IpFamily } from "../net/ip.ts";

/** AF_UNSPEC: in a dump, all families. */
export const AF_UNSPEC = 0;
// RTNL_FAMILY_IPMR and RTNL_FAMILY_IP6MR: multicast routes have families of their own (linux/rtnetlink.h).
const IPV4_MULTICAST_ROUTES = 128;
const IPV6_MULTICAST_ROUTES = 129;

/** The kernel's number of an address family; AF_UNSPEC if none is given. */
export function familyNumber(family: IpFamily | undefined): number {
  if (family === undefined) return AF_UNSPEC;
  return family === 4 ? AF_INET : AF_INET6;
}

/**
 * The family that the kernel's number means.
 *
 * @throws {RangeError} if it is neither IPv4 nor IPv6
 */
export function ipFamily(number: number | undefined): IpFamily {
  switch (number) {
    case AF_INET:
    case IPV4_MULTICAST_ROUTES:
      return 4;
    case AF_INET6:
    case IPV6_MULTICAST_ROUTES:
      return 6;
    default:
      throw new RangeError(`address family ${number} is not IP`);
  }
}

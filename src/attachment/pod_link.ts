/**
 * What the link between a pod and its node is like.
 *
 * @module
 */
import type { Bandwidth } from "../net/bandwidth.ts";
import { MacAddress } from "../net/mac.ts";
import type { Ipv4Devconf } from "../rtnetlink/devconf.ts";
import type { ClaimedAddress } from "./address_claims.ts";
import type { PodRouting } from "./pod_routes.ts";

/** Every host end has this MAC: it is seen by its own pod only, and a constant needs no resolution. */
export const HOST_MAC: MacAddress = MacAddress.parse("ee:ee:ee:ee:ee:ee");

/**
 * net.ipv4.conf of the host end: it routes, and believes neither foreign sources nor redirects. `arpfilter` is the reverse
 * path check of ARP, which a node whose `all.rp_filter` is 2 has no other of: a pod could fill the node's neighbour table.
 */
export const HOST_IPV4 = {
  forwarding: 1,
  rpFilter: 1,
  arpfilter: 1,
  acceptRedirects: 0,
  acceptSourceRoute: 0,
} as const satisfies Ipv4Devconf;

/** What the pod's end has ahead. */
export interface PreparedEnd {
  readonly mac: MacAddress;
  /** One of each of the node's pod CIDRs, which were nobody's then; they can be used at once. */
  readonly addresses: readonly ClaimedAddress[];
}

/** What both ends of a pod's link are given. */
export interface PodLink extends PodRouting {
  /** Name of the host end, at most 15 characters. */
  readonly hostInterface: string;
  /** Interface index of the host end. */
  readonly hostIndex: number;
  /** IFLA_IFALIAS of the host end: which sandbox it belongs to. */
  readonly alias: string;
  readonly interfaceName: string;
  readonly mac: MacAddress;
  /** Bytes. */
  readonly mtu: number;
  /** Whether its ends have IPv6: see {@linkcode hasIpv6}. */
  readonly ipv6: boolean;
  /** @default no limits */
  readonly bandwidth?: Bandwidth | undefined;
  /**
   * What {@linkcode prepareLink} gave the pod's end, if that has seen to it.
   * @default nothing
   */
  readonly prepared?: PreparedEnd | undefined;
}

/** Whether a link has IPv6, on which it is an error to configure it otherwise: the kernel has, and the MTU is enough (RFC 8200, 5). */
export function hasIpv6(kernelHas: boolean, mtu: number): boolean {
  return kernelHas && mtu >= 1280;
}

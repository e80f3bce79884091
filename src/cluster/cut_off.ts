/**
 * Addresses that the networks of a cluster cut off from a node: pure.
 *
 * @module
 */
import type { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";

/**
 * The network of the cluster by which a node does not reach an address any more. What no node has of it is refused by a route
 * that is longer than the default route, and so is what a router leads to; networks that the node is on have longer ones.
 *
 * @param connected networks that the node is on
 */
export function cutOffBy(
  address: IpAddress,
  clusterCidrs: readonly Cidr[],
  connected: readonly Cidr[],
): Cidr | undefined {
  return clusterCidrs.find((cidr) =>
    cidr.contains(address) &&
    !connected.some((one) =>
      one.prefixLength > cidr.prefixLength && one.contains(address)
    )
  );
}

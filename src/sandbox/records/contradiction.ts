/**
 * Whether a sandbox's record can be true on its node.
 *
 * @module
 */
import { AddressPool } from "../../ipam/pool.ts";
import { Cidr } from "../../net/cidr.ts";
import { IpAddress } from "../../net/ip.ts";
import type { NodeRecord, SandboxRecord } from "./records.ts";

/** What a record says that cannot be on a node of these settings; undefined when there is nothing. */
export function contradiction(
  { addresses, netnsId, spec }: SandboxRecord,
  settings: NodeRecord,
): string | undefined {
  if (spec.hostNetwork !== (netnsId === settings.netnsId)) {
    return spec.hostNetwork
      ? "netnsId: is not that of the node, on whose network it is"
      : "netnsId: is that of the node";
  }
  if (spec.hostNetwork) return undefined;
  const pools = settings.podCidrs.map((cidr) =>
    new AddressPool(Cidr.parse(cidr))
  );
  const outside = addresses.find((text) => {
    const address = IpAddress.parse(text);
    return !pools.some((pool) => pool.isAllocatable(address));
  });
  return outside && `addresses: ${outside} is none of the node's for pods`;
}

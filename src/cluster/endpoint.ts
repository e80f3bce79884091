/**
 * What a node tells the others of itself, by what it has: pure.
 *
 * @module
 */
import { MacAddress } from "../net/mac.ts";
import type { IpAddress, IpFamily } from "../net/ip.ts";
import { digest } from "../sandbox/records/digest.ts";
import type { VxlanEndpoint } from "./member.ts";
import type { NormalisedPathOptions, PathBackend } from "./path_options.ts";
import type { Underlay } from "./underlay.ts";

/** The part of a member that follows from the node, before any pod CIDR is known. */
export interface OwnEndpoint {
  /** As in a `ClusterMember`. */
  readonly addresses: readonly string[];
  /** As in a `ClusterMember`: missing with backends that have no tunnels. */
  readonly vxlan?: VxlanEndpoint;
  /** MTU that the node's pods must have, in bytes: what fits into every path. */
  readonly podMtu: number;
}

/**
 * Bytes that go before a packet: Ethernet 14, VXLAN 8, UDP 8 and IP 20 or 40 (RFC 7348, 5); WireGuard's own 32, UDP 8 and IP.
 */
const OVERHEAD: Readonly<
  Record<"vxlan" | "wireguard", Record<IpFamily, number>>
> = {
  vxlan: { 4: 50, 6: 70 },
  wireguard: { 4: 60, 6: 80 },
};

/** Bytes that a way of carrying packets adds, over IPv4 or over IPv6. */
export function overhead(backend: PathBackend, outer: IpFamily): number {
  if (backend === "host-gw") return 0;
  return OVERHEAD[backend === "auto" ? "vxlan" : backend][outer];
}

/** The IP version that tunnels to a peer go over: IPv4 if both have it. Undefined when they have none in common. */
export function outerFamily(
  own: readonly string[],
  peer: readonly string[],
): IpFamily | undefined {
  return ([4, 6] as const).find((family) =>
    firstOf(family, own) !== undefined && firstOf(family, peer) !== undefined
  );
}

/** The preferred address of an IP version. */
export function firstOf(
  family: IpFamily,
  addresses: readonly string[],
): string | undefined {
  return addresses.find((text) => (family === 6) === text.includes(":"));
}

/**
 * What a node tells the others, and what its pods' MTU must be. Pure: `underlayOf()` gives the underlay before there is a
 * node. With `auto` some path may be a tunnel, so its overhead counts; over IPv6 only where the node has no IPv4.
 *
 * @param name of the node: the MAC address of its tunnels follows from it and stays the same for ever
 */
export function ownEndpoint(
  name: string,
  { addresses, mtu }: Pick<Underlay, "addresses" | "mtu">,
  { backend, vni, vxlanPort: port }: NormalisedPathOptions,
): OwnEndpoint {
  const outer = outerFamily(addresses, addresses) ?? 4;
  return {
    addresses,
    ...backend === "auto" || backend === "vxlan"
      ? { vxlan: { vni, port, mac: String(tunnelMac(name)) } }
      : {},
    podMtu: mtu - overhead(backend, outer),
  };
}

/** Whether other nodes can reach a node by such an address. */
export function canBeReached(address: IpAddress): boolean {
  return !(address.isLoopback || address.isLinkLocal || address.isMulticast ||
    address.isUnspecified || address.isBroadcast || address.isIpv4Mapped);
}

/** Locally administered, unicast. */
function tunnelMac(name: string): MacAddress {
  return MacAddress.fromBytes(
    Uint8Array.of(0x02, ...digest(`podnet tunnel ${name}`).subarray(0, 5)),
  );
}

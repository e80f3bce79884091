/**
 * Members that can be what they say: what others write into the store is read here, and nobody takes what is not his.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import { IpAddress } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import { compareText } from "../text.ts";
import { Claims } from "./claims.ts";
import type { ClusterMember } from "./member.ts";
import { PathError } from "./path_error.ts";
import type { NormalisedPathOptions } from "./path_options.ts";
import type { Underlay } from "./underlay.ts";

/** A member whose claims are read, and nobody else's. */
export interface Peer extends Omit<ClusterMember, "podCidrs"> {
  readonly podCidrs: readonly Cidr[];
}

/** Sorts out members that cannot be what they say. */
export function accept(
  { networks }: Underlay,
  self: ClusterMember,
  members: readonly ClusterMember[],
  { clusterCidrs }: NormalisedPathOptions,
): { readonly peers: readonly Peer[]; readonly refused: PathError[] } {
  const refused: PathError[] = [];
  const read = members.filter(({ name }) => name !== self.name)
    .toSorted((a, b) => compareText(a.name, b.name)).flatMap((member) => {
      try {
        return [claimsOf(member)];
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        refused.push(new PathError("Invalid", member.name, error.message));
        return [];
      }
    });
  const own = claimsOf(self);
  const segments = networks.map(({ network }) => Cidr.parse(network));
  const cluster = clusterCidrs.map(Cidr.parse);
  const claims = new Claims([own, ...read].flatMap(({ all }) => all));
  for (const network of own.all) claims.claim(network, "this node");
  const names = new Set<string>([self.name]);
  const macs = new Map<string | undefined, string>([
    [self.vxlan?.mac, "this node"],
  ]);
  const problemOf = ({ peer, all }: Claimed): string | undefined => {
    const { vxlan, podCidrs, name } = peer;
    if (names.has(name)) return "another member has its name";
    for (const network of all) {
      const owner = claims.ownerOf(network);
      if (owner !== undefined) return `${network} is of ${owner}`;
    }
    for (const cidr of podCidrs) {
      const segment = segments.find((one) => one.overlaps(cidr));
      if (segment !== undefined) {
        return `${cidr} overlaps ${segment}, a network that this node is on`;
      }
      if (
        cluster.length > 0 && !cluster.some((other) => other.contains(cidr))
      ) return `${cidr} is not of the cluster (${cluster.join(", ")})`;
    }
    const owner = vxlan && macs.get(vxlan.mac);
    return owner && `the MAC address of its tunnel is that of ${owner}`;
  };
  const peers = read.flatMap((claimed) => {
    const { peer, all } = claimed;
    const problem = problemOf(claimed);
    if (problem !== undefined) {
      refused.push(new PathError("Conflict", peer.name, problem));
      return [];
    }
    names.add(peer.name);
    for (const network of all) claims.claim(network, peer.name);
    if (peer.vxlan !== undefined) macs.set(peer.vxlan.mac, peer.name);
    return [peer];
  });
  return { peers, refused };
}

interface Claimed {
  readonly peer: Peer;
  readonly all: readonly Cidr[];
}

/** @throws {RangeError} for what is no address or network, or nothing that a node can have */
function claimsOf(member: ClusterMember): Claimed {
  const podCidrs = member.podCidrs.map(Cidr.parse);
  const addresses = member.addresses.map(IpAddress.parse);
  for (const address of addresses) {
    if (
      address.isLoopback || address.isLinkLocal || address.isMulticast ||
      address.isUnspecified || address.isBroadcast || address.isIpv4Mapped
    ) throw new RangeError(`${address} is no address of a node`);
  }
  if (new Set(podCidrs.map(({ family }) => family)).size < podCidrs.length) {
    throw new RangeError("it has two pod CIDRs of one IP version");
  }
  for (const cidr of podCidrs) {
    if (cidr.size < 2n) throw new RangeError(`${cidr} has no room for pods`);
  }
  if (member.vxlan !== undefined) MacAddress.parse(member.vxlan.mac);
  const peer = { ...member, podCidrs, addresses: addresses.map(String) };
  return { peer, all: [...podCidrs, ...addresses.map(Cidr.host)] };
}

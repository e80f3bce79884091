/**
 * Members that can be what they say: what others write into the store is read here, and nobody takes what is not his.
 *
 * @module
 */
import type { Cidr } from "../net/cidr.ts";
import {
  type Remembered,
  rememberedAddress,
  rememberedCidr,
  rememberedMac,
} from "../net/remembered.ts";
import { compareText } from "../text.ts";
import { Claims } from "./claims.ts";
import type { ClusterMember } from "./member.ts";
import { PathError } from "./path_error.ts";
import type { NormalisedPathOptions } from "./path_options.ts";
import type { Underlay } from "./underlay.ts";

/** A member whose claims are read, and nobody else's. */
export interface Peer extends Omit<ClusterMember, "podCidrs"> {
  readonly podCidrs: readonly Remembered<Cidr>[];
  /** The networks of its addresses alone. */
  readonly hosts: readonly Remembered<Cidr>[];
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
  const segments = networks.map(({ network }) => rememberedCidr(network).value);
  const cluster = clusterCidrs.map((text) => rememberedCidr(text).value);
  const claims = new Claims(
    [own, ...read].flatMap(({ all }) => all).map(({ value }) => value),
  );
  for (const { value } of own.all) claims.claim(value, "this node");
  const names = new Set<string>([self.name]);
  const macs = new Map<string | undefined, string>([
    [own.peer.vxlan?.mac, "this node"],
  ]);
  const problemOf = ({ peer, all }: Claimed): string | undefined => {
    const { vxlan, podCidrs, name } = peer;
    if (names.has(name)) return "another member has its name";
    for (const { value, text } of all) {
      const owner = claims.ownerOf(value);
      if (owner !== undefined) return `${text} is of ${owner}`;
    }
    for (const { value: cidr } of podCidrs) {
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
    for (const { value } of all) claims.claim(value, peer.name);
    if (peer.vxlan !== undefined) macs.set(peer.vxlan.mac, peer.name);
    return [peer];
  });
  return { peers, refused };
}

interface Claimed {
  readonly peer: Peer;
  readonly all: readonly Remembered<Cidr>[];
}

/** @throws {RangeError} for what is no address or network, or nothing that a node can have */
function claimsOf({ vxlan, ...member }: ClusterMember): Claimed {
  const podCidrs = member.podCidrs.map(rememberedCidr);
  const addresses = member.addresses.map(rememberedAddress);
  for (const { value: address } of addresses) {
    if (
      address.isLoopback || address.isLinkLocal || address.isMulticast ||
      address.isUnspecified || address.isBroadcast || address.isIpv4Mapped
    ) throw new RangeError(`${address} is no address of a node`);
  }
  const families = podCidrs.map(({ value }) => value.family);
  if (new Set(families).size < podCidrs.length) {
    throw new RangeError("it has two pod CIDRs of one IP version");
  }
  for (const { value, text } of podCidrs) {
    if (value.size < 2n) throw new RangeError(`${text} has no room for pods`);
  }
  const mac = vxlan && rememberedMac(vxlan.mac);
  if (mac?.value.isMulticast || mac?.value.isZero) {
    throw new RangeError(`${mac.text} is no MAC address of a node`);
  }
  const hosts = addresses.map(({ host }) => host);
  return {
    peer: {
      ...member,
      podCidrs,
      addresses: addresses.map(({ text }) => text),
      hosts,
      ...vxlan && mac && { vxlan: { ...vxlan, mac: mac.text } },
    },
    all: [...podCidrs, ...hosts],
  };
}

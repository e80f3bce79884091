/**
 * Which pod networks a node asks for: pure.
 *
 * @module
 */
import { SandboxError } from "../errors.ts";
import { Cidr } from "../net/cidr.ts";
import { addressBits } from "../net/ip.ts";
import { rememberedCidr } from "../net/remembered.ts";
import { readMember } from "./record.ts";
import { type ClusterSettings, nodePrefixLengthOf } from "./settings.ts";
import type { StoreListing } from "./store.ts";

/** What the choice depends on besides the store. */
export interface SubnetWish {
  /** Name of the cluster, for errors. */
  readonly cluster: string;
  /** Name of the node. */
  readonly name: string;
  /** Networks that the node has set up, with pods that may have addresses of them. */
  readonly held: readonly string[];
  /** Networks that the node is on: their addresses are its neighbours'. */
  readonly networks: readonly string[];
  /** From 0 to below 1; so that nodes that choose at the same instant choose differently. */
  random(): number;
}

/**
 * Chooses one network of each of the cluster's: that which the node has, or had by the store's memory, or else a free one,
 * or else one of a node that is not there.
 *
 * @throws {SandboxError} `PodCidrInUse`, `PodCidrsExhausted`; `NodeConflict` when all of it are addresses of its neighbours
 */
export function chooseSubnets(
  settings: ClusterSettings,
  listing: StoreListing,
  { cluster, name, held, networks, random }: SubnetWish,
): string[] {
  const owners = ownersOf(settings, listing);
  const present = new Set(listing.members.map((member) => member.name));
  for (const podCidr of held) {
    const owner = owners.get(podCidr) ?? name;
    if (owner !== name && present.has(owner)) {
      throw new SandboxError("PodCidrInUse", { cluster, podCidr, owner });
    }
  }
  const neighbours = networks.map((text) => rememberedCidr(text).value);
  const own = [...owners.keys()].filter((podCidr) =>
    owners.get(podCidr) === name
  );
  return settings.podCidrs.map((text) => {
    const all = new NodeNetworks(text, settings, neighbours);
    const kept = own.find((podCidr) => all.has(podCidr, neighbours)) ??
      held.find((podCidr) => all.has(podCidr));
    if (kept === undefined && all.coveredBy !== undefined) {
      throw new SandboxError("NodeConflict", {
        name,
        reason:
          `${text} of cluster "${cluster}" overlaps ${all.coveredBy}, a network that the node is on: begin a cluster with another`,
      });
    }
    const isFree = (podCidr: string) => !owners.has(podCidr);
    const isLeft = (podCidr: string) => !present.has(owners.get(podCidr) ?? "");
    const found = kept ?? all.find(isFree, owners.size, random()) ??
      all.find(isLeft, owners.size, random());
    if (found !== undefined) return found;
    throw new SandboxError("PodCidrsExhausted", { cluster, cidr: text });
  });
}

/** Whose networks are: as they are reserved, or else as nodes say that are there, whose reservations are lost. */
function ownersOf(
  settings: ClusterSettings,
  { members, reservations }: StoreListing,
): Map<string, string> {
  const owners = new Map(reservations.map((r) => [r.podCidr, r.owner]));
  const reserved = Map.groupBy(reservations, ({ owner }) => owner);
  for (const { name, text } of members) {
    // Reading all records would take as long as listing them.
    const count = reserved.get(name)?.length ?? 0;
    if (count >= settings.podCidrs.length) continue;
    const member = readMember(name, text, settings);
    if (typeof member === "string") continue;
    for (const podCidr of member.podCidrs) {
      if (!owners.has(podCidr)) owners.set(podCidr, name);
    }
  }
  return owners;
}

/** The networks of nodes in a network of the cluster. */
class NodeNetworks {
  readonly #cidr: Cidr;
  readonly #prefixLength: number;
  /** Networks that none of them may overlap. */
  readonly #neighbours: readonly Cidr[];

  constructor(
    text: string,
    settings: ClusterSettings,
    neighbours: readonly Cidr[],
  ) {
    this.#cidr = Cidr.parse(text);
    this.#prefixLength = nodePrefixLengthOf(settings, this.#cidr.family);
    this.#neighbours = neighbours;
  }

  /** A network that leaves none of them. */
  get coveredBy(): Cidr | undefined {
    return this.#neighbours.find((one) => one.contains(this.#cidr));
  }

  /** Whether it is one of them, and overlaps none of these. */
  has(podCidr: string, others: readonly Cidr[] = []): boolean {
    try {
      const cidr = Cidr.parse(podCidr);
      return cidr.prefixLength === this.#prefixLength &&
        String(cidr) === podCidr && this.#cidr.contains(cidr) &&
        !others.some((other) => other.overlaps(cidr));
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
  }

  /** The first one from a random one on that fits, when all but `unfit` of them do; looks at no more than it must. */
  find(
    fits: (podCidr: string) => boolean,
    unfit: number,
    random: number,
  ): string | undefined {
    const { family, prefixLength, network } = this.#cidr;
    const count = 1n << BigInt(this.#prefixLength - prefixLength);
    const size = 1n << BigInt(addressBits(family) - this.#prefixLength);
    // A double has 53 bits: enough for a start.
    const start = BigInt(Math.floor(random * 2 ** 53)) * count >> 53n;
    let tries = unfit + 1;
    for (let i = 0n; i < count && tries > 0; i++) {
      const position = (start + i) % count;
      const cidr = Cidr.of(this.#cidr.at(position * size), this.#prefixLength);
      const other = this.#neighbours.find((one) => one.overlaps(cidr));
      if (other !== undefined) {
        // On behind it: it may have room for more of them than there is time to look at.
        const behind = other.network.toBigInt() + other.size -
          network.toBigInt();
        i += (behind - 1n) / size - position;
        continue;
      }
      tries--;
      if (fits(String(cidr))) return String(cidr);
    }
    return undefined;
  }
}

/**
 * Which pod networks a node asks for: pure.
 *
 * @module
 */
import { SandboxError } from "../errors.ts";
import { Cidr } from "../net/cidr.ts";
import { addressBits } from "../net/ip.ts";
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
  /** From 0 to below 1; so that nodes that choose at the same instant choose differently. */
  random(): number;
}

/**
 * Chooses one network of each of the cluster's: that which the node has, or had by the store's memory, or else a free one,
 * or else one of a node that is not there.
 *
 * @throws {SandboxError} `PodCidrInUse`, `PodCidrsExhausted`
 */
export function chooseSubnets(
  settings: ClusterSettings,
  { members, reservations }: StoreListing,
  { cluster, name, held, random }: SubnetWish,
): string[] {
  const owners = new Map(reservations.map((r) => [r.podCidr, r.owner]));
  const present = new Set(members.map((member) => member.name));
  for (const podCidr of held) {
    const owner = owners.get(podCidr) ?? name;
    if (owner !== name && present.has(owner)) {
      throw new SandboxError("PodCidrInUse", { cluster, podCidr, owner });
    }
  }
  const own = [
    ...reservations.filter(({ owner }) => owner === name)
      .map(({ podCidr }) => podCidr),
    ...held,
  ];
  return settings.podCidrs.map((text) => {
    const networks = new NodeNetworks(text, settings);
    const kept = own.find((podCidr) => networks.has(podCidr));
    const isFree = (podCidr: string) => !owners.has(podCidr);
    const isLeft = (podCidr: string) => !present.has(owners.get(podCidr) ?? "");
    const found = kept ?? networks.find(isFree, owners.size, random()) ??
      networks.find(isLeft, owners.size, random());
    if (found !== undefined) return found;
    throw new SandboxError("PodCidrsExhausted", { cluster, cidr: text });
  });
}

/** The networks of nodes in a network of the cluster. */
class NodeNetworks {
  readonly #cidr: Cidr;
  readonly #prefixLength: number;

  constructor(text: string, settings: ClusterSettings) {
    this.#cidr = Cidr.parse(text);
    this.#prefixLength = nodePrefixLengthOf(settings, this.#cidr.family);
  }

  /** Whether it is one of them. */
  has(podCidr: string): boolean {
    try {
      const cidr = Cidr.parse(podCidr);
      return cidr.prefixLength === this.#prefixLength &&
        String(cidr) === podCidr && this.#cidr.contains(cidr);
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
    const { family, prefixLength } = this.#cidr;
    const count = 1n << BigInt(this.#prefixLength - prefixLength);
    const size = 1n << BigInt(addressBits(family) - this.#prefixLength);
    // A double has 53 bits: enough for a start.
    const start = BigInt(Math.floor(random * 2 ** 53)) * count >> 53n;
    const tries = count < BigInt(unfit) + 1n ? count : BigInt(unfit) + 1n;
    for (let i = 0n; i < tries; i++) {
      const network = this.#cidr.at((start + i) % count * size);
      const podCidr = String(Cidr.of(network, this.#prefixLength));
      if (fits(podCidr)) return podCidr;
    }
    return undefined;
  }
}

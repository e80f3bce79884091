/**
 * Which member has which addresses: networks that must not overlap, looked up in a time that does not grow with their number.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import type { IpFamily } from "../net/ip.ts";

/** Networks and their owners, none of which overlaps another. */
export class Claims {
  /** Lengths of all prefixes that are ever asked about. */
  readonly #lengths: Readonly<Record<IpFamily, Set<number>>> = {
    4: new Set(),
    6: new Set(),
  };
  readonly #owners = new Map<string, string>();
  /** Of networks of each known length, one that lies inside. */
  readonly #inside = new Map<string, string>();

  /** @param all networks that will be asked about or claimed */
  constructor(all: Iterable<Cidr>) {
    for (const { family, prefixLength } of all) {
      this.#lengths[family].add(prefixLength);
    }
  }

  /** Who has something of a network; undefined when nobody has. */
  ownerOf(network: Cidr): string | undefined {
    for (const around of this.#around(network)) {
      const owner = this.#owners.get(around);
      if (owner !== undefined) return owner;
    }
    return this.#inside.get(String(network));
  }

  /** Notes whose a network is. */
  claim(network: Cidr, owner: string): void {
    this.#owners.set(String(network), owner);
    for (const around of this.#around(network)) {
      if (!this.#inside.has(around)) this.#inside.set(around, owner);
    }
  }

  #around({ family, network, prefixLength }: Cidr): string[] {
    return [...this.#lengths[family]].filter((length) => length <= prefixLength)
      .map((length) => String(Cidr.around(network, length)));
  }
}

/**
 * Which member has which addresses: networks that must not overlap, looked up in a time that does not grow with their number.
 *
 * @module
 */
import type { Cidr } from "../net/cidr.ts";
import { addressBits, type IpFamily } from "../net/ip.ts";

interface Claim {
  readonly network: Cidr;
  readonly owner: string;
}

/** Networks and their owners. What one owner has may overlap. */
export class Claims {
  /** Lengths of all prefixes that were ever asked about. */
  readonly #lengths: Readonly<Record<IpFamily, Set<number>>> = {
    4: new Set(),
    6: new Set(),
  };
  readonly #claims = new Map<string, Claim>();
  /** Of networks of each of these lengths, what is claimed inside. */
  readonly #inside = new Map<string, Map<string, string>>();

  /** Who has something of a network. */
  ownersOf(network: Cidr): Iterable<string> {
    this.#learn(network);
    const owners = new Set(this.#inside.get(keyOf(network))?.values());
    for (const key of this.#around(network)) {
      const claim = this.#claims.get(key);
      if (claim !== undefined) owners.add(claim.owner);
    }
    return owners;
  }

  /** Notes whose a network is; nobody else has something of it. */
  claim(network: Cidr, owner: string): void {
    this.#learn(network);
    const own = keyOf(network);
    this.#claims.set(own, { network, owner });
    for (const key of this.#around(network)) this.#note(key, own, owner);
  }

  /** Takes a claim back. */
  release(network: Cidr): void {
    const own = keyOf(network);
    this.#claims.delete(own);
    for (const key of this.#around(network)) {
      const inside = this.#inside.get(key);
      inside?.delete(own);
      if (inside?.size === 0) this.#inside.delete(key);
    }
  }

  #note(around: string, key: string, owner: string): void {
    const inside = this.#inside.get(around);
    if (inside !== undefined) inside.set(key, owner);
    else this.#inside.set(around, new Map([[key, owner]]));
  }

  /** A length that was not asked about before: what is claimed lies in networks of it too. */
  #learn({ family, prefixLength }: Cidr): void {
    const lengths = this.#lengths[family];
    if (lengths.has(prefixLength)) return;
    lengths.add(prefixLength);
    for (const [key, { network, owner }] of this.#claims) {
      if (network.family !== family || network.prefixLength < prefixLength) {
        continue;
      }
      this.#note(keyAround(network, prefixLength), key, owner);
    }
  }

  /** Keys of the networks of all known lengths that this one is in, itself among them. */
  *#around(network: Cidr): Iterable<string> {
    for (const length of this.#lengths[network.family]) {
      if (length <= network.prefixLength) yield keyAround(network, length);
    }
  }
}

function keyOf(network: Cidr): string {
  return keyAround(network, network.prefixLength);
}

function keyAround({ family, network }: Cidr, length: number): string {
  const first = network.toBigInt() >> BigInt(addressBits(family) - length);
  return `${family}/${length}/${first.toString(36)}`;
}

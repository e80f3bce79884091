/**
 * Which member has which addresses: networks that must not overlap, looked up in a time that does not grow with their number.
 *
 * @module
 */
import type { Cidr } from "../net/cidr.ts";
import { addressBits, type IpFamily } from "../net/ip.ts";

/** Networks and their owners, none of which overlaps another. */
export class Claims {
  /** Lengths of all prefixes that are ever asked about. */
  readonly #lengths: Readonly<Record<IpFamily, Set<number>>> = {
    4: new Set(),
    6: new Set(),
  };
  readonly #signatures: Readonly<Record<IpFamily, string>>;
  readonly #owners = new Map<string, string>();
  /** Of networks of each known length, one that lies inside. */
  readonly #inside = new Map<string, string>();

  /** @param all networks that will be asked about or claimed */
  constructor(all: Iterable<Cidr>) {
    for (const { family, prefixLength } of all) {
      this.#lengths[family].add(prefixLength);
    }
    this.#signatures = {
      4: [...this.#lengths[4]].sort().join(),
      6: [...this.#lengths[6]].sort().join(),
    };
  }

  /** Who has something of a network; undefined when nobody has. */
  ownerOf(network: Cidr): string | undefined {
    const around = this.#around(network);
    for (const key of around) {
      const owner = this.#owners.get(key);
      if (owner !== undefined) return owner;
    }
    return this.#inside.get(keyOf(network));
  }

  /** Notes whose a network is. */
  claim(network: Cidr, owner: string): void {
    this.#owners.set(keyOf(network), owner);
    for (const key of this.#around(network)) {
      if (!this.#inside.has(key)) this.#inside.set(key, owner);
    }
  }

  /** Keys of the networks of all known lengths that this one is in, itself among them. */
  #around(cidr: Cidr): readonly string[] {
    const { family, network, prefixLength } = cidr;
    const lengths = this.#signatures[family];
    const known = keysAround.get(cidr);
    if (known?.lengths === lengths) return known.keys;
    const first = network.toBigInt();
    const keys: string[] = [];
    for (const length of this.#lengths[family]) {
      if (length <= prefixLength) keys.push(key(family, first, length));
    }
    keysAround.set(cidr, { lengths, keys });
    return keys;
  }
}

/** A cluster's networks are looked up again whenever one of its nodes changes. */
const keysAround = new WeakMap<
  Cidr,
  { readonly lengths: string; readonly keys: readonly string[] }
>();

function keyOf({ family, network, prefixLength }: Cidr): string {
  return key(family, network.toBigInt(), prefixLength);
}

function key(family: IpFamily, address: bigint, length: number): string {
  const network = address >> BigInt(addressBits(family) - length);
  return `${family}/${length}/${network.toString(36)}`;
}

/**
 * A part of a network from which pods get addresses.
 * @module
 */

import type { Cidr } from "../net/cidr.ts";
import { InterfaceAddress } from "../net/interface_address.ts";
import type { IpAddress } from "../net/ip.ts";
import { type AddressRow, probe } from "./probe.ts";

/** Addresses of one network, from the first to the last. */
export class AddressRange {
  /** The network that they are of. */
  readonly network: Cidr;
  /** The first and the last. */
  readonly ends: readonly [first: IpAddress, last: IpAddress];
  readonly #row: AddressRow;

  /**
   * Makes a range.
   * @param first by default the first after the network address
   * @param last by default the last, which in IPv4 is not the broadcast address
   * @throws {RangeError} when there is none, or one is not of the network
   */
  constructor(network: Cidr, first?: IpAddress, last?: IpAddress) {
    const { family, size } = network;
    const ends = [
      first ?? network.at(size > 1n ? 1n : 0n),
      last ?? network.at(family === 4 && size > 2n ? size - 2n : size - 1n),
    ] as const;
    for (const end of ends) {
      if (!network.contains(end)) {
        throw new RangeError(`${end} is not of ${network}`);
      }
    }
    const [from, to] = [ends[0].toBigInt(), ends[1].toBigInt()];
    if (to < from) {
      throw new RangeError(`${ends[1]} comes before ${ends[0]}`);
    }
    this.network = network;
    this.ends = ends;
    this.#row = { first: from, size: to - from + 1n, family };
  }

  /** Whether one of them is of the other network. */
  overlaps({ network, last }: Cidr): boolean {
    const { first, size, family } = this.#row;
    return family === network.family && first <= last.toBigInt() &&
      network.toBigInt() < first + size;
  }

  /** How many. */
  get size(): bigint {
    return this.#row.size;
  }

  /** Those that are free, in the order to try them; see {@linkcode probe}. */
  *candidates(
    seed: bigint | Uint8Array,
    isTaken: (address: bigint) => boolean,
  ): Generator<InterfaceAddress, void> {
    const { prefixLength } = this.network;
    for (const address of probe(this.#row, seed, isTaken)) {
      yield InterfaceAddress.parse(`${address}/${prefixLength}`);
    }
  }
}

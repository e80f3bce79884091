/**
 * Which addresses of a pod CIDR a pod may have, and in which order to try them. Which of them are free is not
 * known here: the kernel decides when an address is claimed.
 * @module
 */

import type { Cidr } from "../net/cidr.ts";
import { IpAddress } from "../net/ip.ts";
import { type AddressRow, probe } from "./probe.ts";

/** The network address (in IPv6 the subnet-router anycast address, RFC 4291, 2.6.1) and the gateway. */
const RESERVED_AT_START = 2n;

/** The addresses of one pod CIDR. */
export class AddressPool {
  /** The network that the pool is made of. */
  readonly cidr: Cidr;
  /** The node's own address in the pool: the first after the network address. Never allocated. */
  readonly gateway: IpAddress;
  /** Number of allocatable addresses: without network address, gateway and, in IPv4, broadcast address. */
  readonly size: bigint;
  readonly #row: AddressRow;

  /**
   * Makes the pool of a network.
   * @throws {RangeError} when no address would be allocatable: IPv4 above /30, IPv6 above /126
   */
  constructor(cidr: Cidr) {
    const reserved = RESERVED_AT_START + (cidr.family === 4 ? 1n : 0n);
    if (cidr.size <= reserved) {
      throw new RangeError(
        `${cidr} is too small for pods: write a prefix length of at most ${
          cidr.family === 4 ? 30 : 126
        }`,
      );
    }
    this.cidr = cidr;
    this.gateway = cidr.at(1n);
    this.size = cidr.size - reserved;
    const first = cidr.network.toBigInt() + RESERVED_AT_START;
    this.#row = { first, size: this.size, family: cidr.family };
  }

  /** Whether a pod may have the address. */
  isAllocatable(address: IpAddress): boolean {
    if (!this.cidr.contains(address)) return false;
    const index = address.toBigInt() - this.#row.first;
    return index >= 0n && index < this.size;
  }

  /** The first of {@linkcode AddressPool.candidates}, which mostly is free: without their iterator, 5 µs less a pod. */
  first(seed: bigint): IpAddress {
    const { first, size, family } = this.#row;
    return IpAddress.fromBigInt(first + seed % size, family);
  }

  /**
   * Allocatable addresses in the order to try them, each at most once; see {@linkcode probe}.
   * @param seed a hash, at best at least twice as long as an address; bytes are taken as a big-endian number
   * @param isTaken passes over addresses, asked when it is their turn
   */
  candidates(
    seed: bigint | Uint8Array,
    isTaken?: (address: bigint) => boolean,
  ): Generator<IpAddress, void> {
    return probe(this.#row, seed, isTaken);
  }
}

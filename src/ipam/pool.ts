/**
 * Which addresses of a pod CIDR a pod may have, and in which order to try them. Which of them are free is not
 * known here: the kernel decides when an address is claimed.
 * @module
 */

import type { Cidr } from "../net/cidr.ts";
import { IpAddress } from "../net/ip.ts";

/** The network address (in IPv6 the subnet-router anycast address, RFC 4291, 2.6.1) and the gateway. */
const RESERVED_AT_START = 2n;

/** In a pool of 2^64 addresses nobody tries them all: this many taken ones in a row mean that something is wrong. */
const MAX_CANDIDATES_IPV6 = 65_536n;

/** The addresses of one pod CIDR. */
export class AddressPool {
  /** The network that the pool is made of. */
  readonly cidr: Cidr;
  /** The node's own address in the pool: the first after the network address. Never allocated. */
  readonly gateway: IpAddress;
  /** Number of allocatable addresses: without network address, gateway and, in IPv4, broadcast address. */
  readonly size: bigint;

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
  }

  /** Whether a pod may have the address. */
  isAllocatable(address: IpAddress): boolean {
    if (!this.cidr.contains(address)) return false;
    const index = address.toBigInt() - this.#first();
    return index >= 0n && index < this.size;
  }

  /**
   * Allocatable addresses in the order to try them, each at most once: IPv4 all of them, IPv6 at most 65 536.
   *
   * Start and stride both follow from the seed, so that two seeds soon part even after they met, and an
   * address that was given back is not the next one given out.
   * @param seed a hash, at best at least twice as long as an address; bytes are taken as a big-endian number
   * @param isTaken passes over addresses, asked when it is their turn
   */
  *candidates(
    seed: bigint | Uint8Array,
    isTaken: (address: bigint) => boolean = () => false,
  ): Generator<IpAddress, void> {
    const number = typeof seed === "bigint"
      ? BigInt.asUintN(256, seed)
      : toBigInt(seed);
    const first = this.#first();
    const stride = coprime(number / this.size % this.size, this.size);
    const count = this.cidr.family === 4 || this.size < MAX_CANDIDATES_IPV6
      ? this.size
      : MAX_CANDIDATES_IPV6;
    let index = number % this.size;
    for (let i = 0n; i < count; i++) {
      if (!isTaken(first + index)) {
        yield IpAddress.fromBigInt(first + index, this.cidr.family);
      }
      index = (index + stride) % this.size;
    }
  }

  #first(): bigint {
    return this.cidr.network.toBigInt() + RESERVED_AT_START;
  }
}

function toBigInt(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toHex()}`);
}

/** The first number from `start` on that has no factor in common with `size`: steps of it meet every index. */
function coprime(start: bigint, size: bigint): bigint {
  let candidate = start === 0n ? 1n : start;
  while (greatestCommonDivisor(candidate, size) !== 1n) candidate++;
  return candidate;
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

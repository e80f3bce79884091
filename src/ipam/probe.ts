/**
 * In which order addresses are tried.
 * @module
 */

import { IpAddress, type IpFamily } from "../net/ip.ts";

/** Of 2^64 addresses nobody tries them all: this many taken ones in a row mean that something is wrong. */
const MAX_CANDIDATES_IPV6 = 65_536n;

/** Addresses in a row. */
export interface AddressRow {
  /** The first one, as a number. */
  readonly first: bigint;
  /** How many, at least one. */
  readonly size: bigint;
  /** Their IP version. */
  readonly family: IpFamily;
}

/**
 * Addresses in the order to try them, each at most once: IPv4 all of them, IPv6 at most 65 536.
 *
 * Start and stride both follow from the seed, so that two seeds soon part even after they met, and an
 * address that was given back is not the next one given out.
 * @param seed a hash, at best at least twice as long as an address; bytes are taken as a big-endian number
 * @param isTaken passes over addresses, asked when it is their turn
 */
export function* probe(
  { first, size, family }: AddressRow,
  seed: bigint | Uint8Array,
  isTaken: (address: bigint) => boolean = () => false,
): Generator<IpAddress, void> {
  const number = typeof seed === "bigint"
    ? BigInt.asUintN(256, seed)
    : toBigInt(seed);
  // Mostly the first address is free, and finding a stride takes 5 µs.
  let stride: bigint | undefined;
  const count = family === 4 || size < MAX_CANDIDATES_IPV6
    ? size
    : MAX_CANDIDATES_IPV6;
  let index = number % size;
  for (let i = 0n; i < count; i++) {
    if (!isTaken(first + index)) {
      yield IpAddress.fromBigInt(first + index, family);
    }
    stride ??= coprime(number / size % size, size);
    index = (index + stride) % size;
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

/**
 * IP networks as values.
 * @module
 */

import { addressBits, IpAddress, type IpFamily } from "./ip.ts";

/** An IP network: an address whose host bits are zero, and a prefix length (RFC 4632). */
export class Cidr {
  /** The first address: all host bits zero. */
  readonly network: IpAddress;
  /** Number of network bits: 0–32 or 0–128. */
  readonly prefixLength: number;

  private constructor(network: IpAddress, prefixLength: number) {
    this.network = network;
    this.prefixLength = prefixLength;
  }

  /**
   * Reads `address/prefixLength`.
   * @throws {RangeError} when the text is not a network; when host bits are set it names the network to write
   */
  static parse(text: string): Cidr {
    const [, address, length] = /^([^/]*)\/(0|[1-9][0-9]{0,2})$/.exec(text) ??
      [];
    if (address === undefined || length === undefined) {
      throw new RangeError(
        `${
          JSON.stringify(text)
        } is not a network: write one like "10.244.1.0/24" or "fd00:10:244:1::/64"`,
      );
    }
    return Cidr.of(IpAddress.parse(address), Number(length));
  }

  /**
   * Makes a network of its first address and prefix length.
   * @throws {RangeError} when the prefix length does not fit the family, or host bits are set
   */
  static of(network: IpAddress, prefixLength: number): Cidr {
    const found = Cidr.around(network, prefixLength);
    if (!found.network.equals(network)) {
      throw new RangeError(
        `${network}/${prefixLength} has host bits set: write "${found}"`,
      );
    }
    return found;
  }

  /**
   * The network of this prefix length that an address is in.
   * @throws {RangeError} when the prefix length does not fit the family
   */
  static around(address: IpAddress, prefixLength: number): Cidr {
    const { family } = address;
    const bits = addressBits(family);
    if (
      !Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > bits
    ) {
      throw new RangeError(
        `the prefix length of ${address}/${prefixLength} must be 0 to ${bits}`,
      );
    }
    const first = address.bytes.map((byte, i) =>
      byte & maskByte(prefixLength, i)
    );
    return new Cidr(IpAddress.fromBytes(first), prefixLength);
  }

  /** The network of one address: /32 or /128. */
  static host(address: IpAddress): Cidr {
    return new Cidr(address, addressBits(address.family));
  }

  /** The IP version. */
  get family(): IpFamily {
    return this.network.family;
  }

  /** The last address: all host bits one. */
  get last(): IpAddress {
    const last = this.network.bytes.map((byte, i) =>
      byte | ~maskByte(this.prefixLength, i)
    );
    return IpAddress.fromBytes(last);
  }

  /** Number of addresses, network and broadcast address included. */
  get size(): bigint {
    return 1n << BigInt(addressBits(this.family) - this.prefixLength);
  }

  /** Whether the address, or the whole of the other network, lies inside. */
  contains(other: IpAddress | Cidr): boolean {
    if (other.family !== this.family) return false;
    const isNetwork = other instanceof Cidr;
    if (isNetwork && other.prefixLength < this.prefixLength) return false;
    const { bytes } = isNetwork ? other.network : other;
    return this.network.bytes.every((byte, i) =>
      byte === ((bytes[i] ?? 0) & maskByte(this.prefixLength, i))
    );
  }

  /** Whether the two have an address in common. */
  overlaps(other: Cidr): boolean {
    return this.contains(other) || other.contains(this);
  }

  /** Whether both are the same network. */
  equals(other: Cidr): boolean {
    return this.prefixLength === other.prefixLength &&
      this.network.equals(other.network);
  }

  /**
   * The address at an offset from the first.
   * @throws {RangeError} when the offset is outside the network
   */
  at(offset: bigint): IpAddress {
    if (offset < 0n || offset >= this.size) {
      throw new RangeError(
        `offset ${offset} is outside ${this} (${this.size} addresses)`,
      );
    }
    return IpAddress.fromBigInt(this.network.toBigInt() + offset, this.family);
  }

  /** The canonical text: `10.244.1.0/24`. */
  toString(): string {
    return `${this.network}/${this.prefixLength}`;
  }
}

/** Of the mask of a prefix length, the byte at a place: bytes, because arithmetic of bigints is ten times slower. */
function maskByte(prefixLength: number, at: number): number {
  const bits = prefixLength - 8 * at;
  return bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff << (8 - bits) & 0xff;
}

/**
 * Addresses with the network that they are on.
 *
 * @module
 */
import { Cidr } from "./cidr.ts";
import { IpAddress, type IpFamily } from "./ip.ts";

/** An address of an interface, and the network that it is on. */
export class InterfaceAddress {
  /** The address. */
  readonly address: IpAddress;
  /** The network that it is on. */
  readonly network: Cidr;

  private constructor(address: IpAddress, network: Cidr) {
    this.address = address;
    this.network = network;
  }

  /**
   * Reads `address/prefixLength`.
   * @throws {RangeError} when the text is none
   */
  static parse(text: string): InterfaceAddress {
    const [, head, length] = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
    if (head === undefined) {
      throw new RangeError(
        `${
          JSON.stringify(text)
        } is no address with a prefix length: write one like "192.168.1.7/24" or "fd00::7/64"`,
      );
    }
    const address = IpAddress.parse(head);
    const bits = address.family === 4 ? 32 : 128;
    const prefixLength = Number(length);
    if (prefixLength < 1 || prefixLength > bits) {
      throw new RangeError(
        `the prefix length of ${text} must be 1 to ${bits}`,
      );
    }
    return new InterfaceAddress(address, Cidr.around(address, prefixLength));
  }

  /** The IP version. */
  get family(): IpFamily {
    return this.address.family;
  }

  /** Number of network bits. */
  get prefixLength(): number {
    return this.network.prefixLength;
  }

  /** The canonical text: `192.168.1.7/24`. */
  toString(): string {
    return `${this.address}/${this.prefixLength}`;
  }
}

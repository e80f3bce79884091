/**
 * Ethernet addresses as values.
 * @module
 */

import { smallCopy } from "./small_bytes.ts";

/** A 48-bit Ethernet (MAC) address. */
export class MacAddress {
  /** The six bytes in the order they are written and sent, a part of a larger buffer. Not to be written to. */
  readonly bytes: Uint8Array<ArrayBuffer>;

  private constructor(bytes: Uint8Array) {
    this.bytes = smallCopy(bytes);
  }

  /**
   * Reads six two-digit hexadecimal groups separated by colons.
   * @throws {RangeError} when the text is anything else
   */
  static parse(text: string): MacAddress {
    if (!/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(text)) {
      throw new RangeError(
        `${
          JSON.stringify(text)
        } is not a MAC address: write one like "02:00:5e:10:00:01"`,
      );
    }
    return new MacAddress(
      Uint8Array.from(text.split(":"), (group) => parseInt(group, 16)),
    );
  }

  /**
   * Makes an address of six bytes, which are copied.
   * @throws {RangeError} for any other length
   */
  static fromBytes(bytes: Uint8Array): MacAddress {
    if (bytes.length !== 6) {
      throw new RangeError(`a MAC address has 6 bytes, not ${bytes.length}`);
    }
    return new MacAddress(bytes);
  }

  /** Whether the group bit is set (IEEE 802-2014, 8.2.2): multicast or broadcast, never a station's own. */
  get isMulticast(): boolean {
    return ((this.bytes[0] ?? 0) & 1) === 1;
  }

  /** 00:00:00:00:00:00, which the kernel refuses (`is_valid_ether_addr`, include/linux/etherdevice.h). */
  get isZero(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  /** Whether both are the same address. */
  equals(other: MacAddress): boolean {
    return this.bytes.every((byte, i) => byte === other.bytes[i]);
  }

  /** Lower-case hexadecimal groups separated by colons. */
  toString(): string {
    const hex = this.bytes.toHex();
    let text = hex.slice(0, 2);
    for (let at = 2; at < hex.length; at += 2) {
      text += `:${hex.slice(at, at + 2)}`;
    }
    return text;
  }
}

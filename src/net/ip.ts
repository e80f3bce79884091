/**
 * IP addresses as values.
 * @module
 */

import { parseIp, stringifyIp } from "ip-bigint";
import { smallCopy } from "./small_bytes.ts";

/** An IP version: 4 or 6. */
export type IpFamily = 4 | 6;

/** Length of an address of the family, in bits. */
export function addressBits(family: IpFamily): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** Small arrays live in the heap of JavaScript until somebody asks for their buffer, which takes a microsecond. So numbers are made here. */
const SCRATCH = new DataView(new ArrayBuffer(16));
const SCRATCH_BYTES = new Uint8Array(SCRATCH.buffer);

const MAX_IPV4 = (1n << 32n) - 1n;
const MAX_IPV6 = (1n << 128n) - 1n;

function toBigInt(bytes: Uint8Array): bigint {
  SCRATCH_BYTES.set(bytes);
  return bytes.length === 4
    ? BigInt(SCRATCH.getUint32(0))
    : SCRATCH.getBigUint64(0) << 64n | SCRATCH.getBigUint64(8);
}

/** An IPv4 or IPv6 address without a zone. */
export class IpAddress {
  /** The address in network byte order: 4 or 16 bytes, a part of a larger buffer. Not to be written to. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  #text: string | undefined;

  private constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
  }

  /**
   * Reads an address.
   *
   * Strict: four decimal parts without leading zeros, or RFC 4291 text. A zone id, a prefix length, spaces
   * and abbreviated IPv4 (`"10.1"`) are refused.
   * @throws {RangeError} when the text is not an address
   */
  static parse(text: string): IpAddress {
    const parsed = tryParse(text);
    if (parsed === undefined) {
      throw new RangeError(
        `${
          JSON.stringify(text)
        } is not an IP address: write one like "10.244.1.7" or "fd00::7"`,
      );
    }
    return IpAddress.fromBigInt(parsed.number, parsed.version);
  }

  /**
   * Makes an address of 4 or 16 bytes in network byte order; the bytes are copied.
   * @throws {RangeError} for any other length
   */
  static fromBytes(bytes: Uint8Array): IpAddress {
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw new RangeError(
        `an IP address has 4 or 16 bytes, not ${bytes.length}`,
      );
    }
    return new IpAddress(smallCopy(bytes));
  }

  /**
   * Makes an address of a number.
   * @throws {RangeError} when the number is negative or too large for the family
   */
  static fromBigInt(value: bigint, family: IpFamily): IpAddress {
    if (value < 0n || value > (family === 4 ? MAX_IPV4 : MAX_IPV6)) {
      throw new RangeError(
        `${value} is outside the IPv${family} address space`,
      );
    }
    if (family === 4) {
      SCRATCH.setUint32(0, Number(value));
    } else {
      SCRATCH.setBigUint64(0, value >> 64n);
      // Of which the lower 64 bits are taken.
      SCRATCH.setBigUint64(8, value);
    }
    return new IpAddress(smallCopy(SCRATCH_BYTES, family === 4 ? 4 : 16));
  }

  /** The IP version. */
  get family(): IpFamily {
    return this.bytes.length === 4 ? 4 : 6;
  }

  /** The address as a number. */
  toBigInt(): bigint {
    return toBigInt(this.bytes);
  }

  /** Whether both are the same address of the same family. */
  equals(other: IpAddress): boolean {
    return this.bytes.length === other.bytes.length &&
      this.bytes.every((byte, i) => byte === other.bytes[i]);
  }

  /** 127.0.0.0/8 (RFC 1122, 3.2.1.3) or ::1 (RFC 4291, 2.5.3). */
  get isLoopback(): boolean {
    return this.family === 4
      ? this.bytes[0] === 127
      : this.bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
  }

  /** 0.0.0.0 or ::. */
  get isUnspecified(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  /** 224.0.0.0/4 (RFC 5771) or ff00::/8 (RFC 4291, 2.7). */
  get isMulticast(): boolean {
    const first = this.bytes[0] ?? 0;
    return this.family === 4 ? first >> 4 === 0xe : first === 0xff;
  }

  /** 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291, 2.5.6). */
  get isLinkLocal(): boolean {
    const [first = 0, second = 0] = this.bytes;
    return this.family === 4
      ? first === 169 && second === 254
      : first === 0xfe && second >> 6 === 0b10;
  }

  /** 255.255.255.255 (RFC 919). */
  get isBroadcast(): boolean {
    return this.family === 4 && this.bytes.every((byte) => byte === 255);
  }

  /** ::ffff:0:0/96 (RFC 4291, 2.5.5.2): IPv4 in IPv6 clothes. */
  get isIpv4Mapped(): boolean {
    if (this.family === 4) return false;
    for (let i = 0; i < 12; i++) {
      if (this.bytes[i] !== (i < 10 ? 0 : 255)) return false;
    }
    return true;
  }

  /** The canonical text (RFC 5952 for IPv6): equal addresses have equal texts. Made once, which takes 3 µs. */
  toString(): string {
    return this.#text ??= this.#write();
  }

  #write(): string {
    if (this.family === 4) {
      const [a, b, c, d] = this.bytes;
      return `${a}.${b}.${c}.${d}`;
    }
    return stringifyIp({
      number: this.toBigInt(),
      version: this.family,
      ipv4mapped: this.isIpv4Mapped,
    });
  }
}

function tryParse(
  text: string,
): { number: bigint; version: IpFamily } | undefined {
  if (text.includes(":")) {
    return isIpv6(text) ? parseIp(text, { validate: false }) : undefined;
  }
  try {
    const parsed = parseIp(text, { validate: false });
    // An IPv4 address has one text.
    return isTextOf(text, parsed.number) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isTextOf(text: string, ipv4: bigint): boolean {
  return IpAddress.fromBigInt(ipv4, 4).toString() === text;
}

/**
 * Asks the runtime, whose parser of URLs takes RFC 4291 text and nothing else between the brackets. ip-bigint would ask a
 * regular expression that takes a process 2 ms to compile. Brackets, white space and zones are not among the characters.
 */
function isIpv6(text: string): boolean {
  return /^[\da-f:.]+$/i.test(text) && URL.canParse(`http://[${text}]/`);
}

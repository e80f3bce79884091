/**
 * The data types of set keys and rule operands: nft's numbers, lengths, byte order and text.
 *
 * A key of several types is a concatenation: the fields in order, each padded with zeros to 4 bytes. A key of one
 * type is not padded.
 *
 * @module
 */
import { HOST_LITTLE_ENDIAN } from "../netlink/bytes.ts";
import { Cidr } from "../net/cidr.ts";
import { addressBits, IpAddress, type IpFamily } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import type { Byteorder } from "./userdata.ts";

/** A value as a caller writes it. */
export type Value = string | number;

interface Definition {
  /** nft's `enum datatypes`, which is stored as the set's key type. */
  readonly number: number;
  /** Bytes. */
  readonly length: number;
  readonly byteorder: Exclude<Byteorder, "concatenation">;
  /** Throws a RangeError when the value is not one of this type. */
  parse(value: Value): Uint8Array<ArrayBuffer>;
  /** The text that nft prints. */
  format(bytes: Uint8Array): string;
}

function invalid(type: string, value: Value): RangeError {
  return new RangeError(`${JSON.stringify(value)} is not an ${type}`);
}

function writeInteger(
  value: number,
  length: number,
  byteorder: Definition["byteorder"],
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  const little = byteorder === "host" && HOST_LITTLE_ENDIAN;
  if (length === 1) view.setUint8(0, value);
  else if (length === 2) view.setUint16(0, value, little);
  else view.setUint32(0, value, little);
  return bytes;
}

function readInteger(
  bytes: Uint8Array,
  byteorder: Definition["byteorder"],
): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = byteorder === "host" && HOST_LITTLE_ENDIAN;
  if (bytes.length === 1) return view.getUint8(0);
  if (bytes.length === 2) return view.getUint16(0, little);
  return view.getUint32(0, little);
}

function integer(
  number: number,
  length: number,
  byteorder: Definition["byteorder"],
  options: {
    readonly names?: Readonly<Record<string, number>>;
    readonly format?: (value: number) => string;
  } = {},
): Definition {
  const names = options.names ?? {};
  const byValue = new Map(
    Object.entries(names).map(([name, value]) => [value, name]),
  );
  const format = options.format ??
    ((value) => byValue.get(value) ?? `${value}`);
  return {
    number,
    length,
    byteorder,
    parse(value) {
      const integer = typeof value === "number"
        ? value
        : Object.hasOwn(names, value)
        ? names[value]
        : undefined;
      if (
        integer === undefined || !Number.isInteger(integer) || integer < 0 ||
        integer >= 2 ** (length * 8)
      ) {
        throw invalid(
          Object.keys(names).length === 0
            ? `unsigned integer of ${length} bytes`
            : `unsigned integer of ${length} bytes or one of ${
              Object.keys(names).join(", ")
            }`,
          value,
        );
      }
      return writeInteger(integer, length, byteorder);
    },
    format: (bytes) => format(readInteger(bytes, byteorder)),
  };
}

function address(number: number, family: IpFamily): Definition {
  const length = family === 4 ? 4 : 16;
  return {
    number,
    length,
    byteorder: "big",
    parse(value) {
      if (typeof value !== "string") {
        throw invalid(`IPv${family} address`, value);
      }
      const parsed = IpAddress.parse(value);
      if (parsed.family !== family) {
        throw invalid(`IPv${family} address`, value);
      }
      return parsed.bytes;
    },
    format: (bytes) => IpAddress.fromBytes(bytes).toString(),
  };
}

const mac: Definition = {
  number: 9,
  length: 6,
  byteorder: "big",
  parse(value) {
    if (typeof value !== "string") throw invalid("Ethernet address", value);
    return MacAddress.parse(value).bytes;
  },
  format: (bytes) => String(MacAddress.fromBytes(bytes)),
};

/** IFNAMSIZ, with the terminator. */
const INTERFACE_NAME_BYTES = 16;

const interfaceName: Definition = {
  number: 41,
  length: INTERFACE_NAME_BYTES,
  byteorder: "host",
  parse(value) {
    const text = new TextEncoder().encode(`${value}`);
    if (
      typeof value !== "string" || text.length === 0 ||
      text.length >= INTERFACE_NAME_BYTES || text.includes(0)
    ) {
      throw invalid("interface name of 1 to 15 bytes", value);
    }
    const bytes = new Uint8Array(INTERFACE_NAME_BYTES);
    bytes.set(text);
    return bytes;
  },
  format(bytes) {
    const nul = bytes.indexOf(0);
    return `"${
      new TextDecoder().decode(nul === -1 ? bytes : bytes.subarray(0, nul))
    }"`;
  },
};

function hexadecimal(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

const definitions = {
  ipv4_addr: address(7, 4),
  ipv6_addr: address(8, 6),
  ether_addr: mac,
  nf_proto: integer(2, 1, "host", { names: { ipv4: 2, ipv6: 10 } }),
  inet_proto: integer(12, 1, "big", {
    names: {
      icmp: 1,
      tcp: 6,
      udp: 17,
      dccp: 33,
      "ipv6-icmp": 58,
      sctp: 132,
      udplite: 136,
    },
  }),
  inet_service: integer(13, 2, "big"),
  mark: integer(19, 4, "host", { format: hexadecimal }),
  // The kernel numbers interfaces within a namespace; only the loopback's number is the same everywhere.
  iface_index: integer(20, 4, "host", {
    names: { lo: 1 },
    format: (value) => value === 1 ? '"lo"' : `${value}`,
  }),
  iface_type: integer(21, 2, "host", { names: { ether: 1 } }),
  ct_state: integer(26, 4, "host", {
    names: {
      invalid: 1,
      established: 2,
      related: 4,
      new: 8,
      untracked: 64,
    },
  }),
  ct_dir: integer(27, 1, "host", { names: { original: 0, reply: 1 } }),
  ct_status: integer(28, 4, "host", {
    names: {
      expected: 1,
      "seen-reply": 2,
      assured: 4,
      confirmed: 8,
      snat: 16,
      dnat: 32,
      dying: 512,
    },
  }),
  devgroup: integer(35, 4, "host"),
  fib_addrtype: integer(38, 4, "host", {
    names: {
      unspec: 0,
      unicast: 1,
      local: 2,
      broadcast: 3,
      anycast: 4,
      multicast: 5,
      blackhole: 6,
      unreachable: 7,
      prohibit: 8,
    },
  }),
  ifname: interfaceName,
} as const satisfies Record<string, Definition>;

/** A type by the name that nft prints in `type …`. */
export type Datatype = keyof typeof definitions;

/** A concatenation's fields start at multiples of 4 bytes, the size of a register word. */
function padded(length: number): number {
  return (length + 3) & ~3;
}

/** Length of one value, in bytes. */
export function valueLength(type: Datatype): number {
  return definitions[type].length;
}

/** Length of a key of these types, in bytes. */
export function keyLength(types: readonly Datatype[]): number {
  const known = keyLengths.get(types);
  if (known !== undefined) return known;
  const [only] = types;
  const length = types.length === 1 && only !== undefined
    ? valueLength(only)
    : types.reduce((sum, type) => sum + padded(valueLength(type)), 0);
  keyLengths.set(types, length);
  return length;
}

/** Asked for each element, of lists that are constants. */
const keyLengths = new WeakMap<readonly Datatype[], number>();

/** Lengths of a concatenation's fields in bytes, as the kernel wants them for ranges. */
export function fieldLengths(types: readonly Datatype[]): readonly number[] {
  return types.map(valueLength);
}

/** nft's number of the type of a key: 6 bits a field, the first one highest. */
export function typeNumber(types: readonly Datatype[]): number {
  return types.reduce((sum, type) => sum << 6 | definitions[type].number, 0);
}

/** How nft is told to print a key of these types. */
export function byteorderOf(types: readonly Datatype[]): Byteorder {
  const [only] = types;
  return types.length === 1 && only !== undefined
    ? definitions[only].byteorder
    : "concatenation";
}

/**
 * Encodes one value: `"10.0.0.1"`, `"tcp"`, `8080`.
 * @throws {RangeError} when the value is not one of the type
 */
export function encodeValue(
  type: Datatype,
  value: Value,
): Uint8Array<ArrayBuffer> {
  return definitions[type].parse(value);
}

/** The text that nft prints for one value. */
export function formatValue(type: Datatype, bytes: Uint8Array): string {
  return definitions[type].format(bytes.subarray(0, valueLength(type)));
}

/**
 * Encodes a key or a map's data: one value a type, `encodeKey(["inet_proto", "inet_service"], ["tcp", 8080])`.
 * @throws {RangeError} when a value is not one of its type, or there are more or fewer values than types
 */
export function encodeKey(
  types: readonly Datatype[],
  values: readonly Value[],
): Uint8Array<ArrayBuffer> {
  if (values.length !== types.length) {
    throw new RangeError(
      `${values.length} values for a key of ${types.join(" . ")}`,
    );
  }
  const key = new Uint8Array(keyLength(types));
  let at = 0;
  for (const [i, type] of types.entries()) {
    key.set(encodeValue(type, values[i] ?? ""), at);
    at += padded(valueLength(type));
  }
  return key;
}

/** The parts of a key, without padding. */
export function splitKey(
  types: readonly Datatype[],
  key: Uint8Array,
): readonly Uint8Array[] {
  let at = 0;
  return types.map((type) => {
    const field = key.subarray(at, at + valueLength(type));
    at += padded(valueLength(type));
    return field;
  });
}

/** The text that nft prints for a key: `tcp . 8080`. */
export function formatKey(types: readonly Datatype[], key: Uint8Array): string {
  return splitKey(types, key)
    .map((field, i) => formatValue(types[i] ?? "mark", field))
    .join(" . ");
}

/**
 * The text that nft prints for the range `first`–`last` of one type: `10.0.0.0/8`, `80-90`, or a single value.
 */
export function formatRange(
  type: Datatype,
  first: Uint8Array,
  last: Uint8Array,
): string {
  const from = formatValue(type, first);
  const to = formatValue(type, last);
  if (from === to) return from;
  if (type !== "ipv4_addr" && type !== "ipv6_addr") return `${from}-${to}`;
  const low = IpAddress.fromBytes(first);
  // The bits that differ. The range is a network when they are the lowest ones and all zero in `first`.
  const host = low.toBigInt() ^ IpAddress.fromBytes(last).toBigInt();
  if ((host & (host + 1n)) !== 0n || (low.toBigInt() & host) !== 0n) {
    return `${from}-${to}`;
  }
  return Cidr.of(low, addressBits(low.family) - host.toString(2).length)
    .toString();
}

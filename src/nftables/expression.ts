/**
 * What a rule can look at and change in a packet. Each selector knows its nft text, its type and its expressions.
 *
 * @module
 */
import {
  type Datatype,
  encodeValue,
  formatValue,
  type Value,
  valueLength,
} from "./datatype.ts";
import type { Expression } from "./expression_tables.ts";

/** The protocol that a header field belongs to; a rule checks it before it reads the field. */
export type HeaderProtocol = "ether" | "ipv4" | "ipv6";

/** Something that a rule can load into registers. */
export interface Selector {
  /** As nft writes it: `ip saddr`. */
  readonly text: string;
  readonly type: Datatype;
  readonly needs?: HeaderProtocol;
  /** nft writes `==` after a selector that is itself an operation. */
  readonly operation?: true;
  /** nft knows the field by its place only, and writes its values as hexadecimal numbers. */
  readonly raw?: true;
  /** Loads into register `dreg`: the whole value, or its first `length` bytes where the selector can do that. */
  load(dreg: number, length?: number): readonly Expression[];
}

/** A selector that a rule can also write. */
export interface Writable extends Selector {
  store(sreg: number): readonly Expression[];
}

/** A selector whose values have prefixes: IP addresses of a header. */
export interface AddressSelector extends Writable {
  readonly type: "ipv4_addr" | "ipv6_addr";
}

/** Words of 4 bytes in the register file (`NFT_REG32_15`). */
const REGISTER_WORDS = 16;

/**
 * The register that starts at a word of 4 bytes, numbered as the kernel reports it: `NFT_REG_1`–`NFT_REG_4` at
 * multiples of 16 bytes, `NFT_REG32_xx` between them.
 * @throws {RangeError} beyond the 16 words there are
 */
export function register(word: number): number {
  if (!Number.isInteger(word) || word < 0 || word >= REGISTER_WORDS) {
    throw new RangeError(`register word ${word} is not within 0 to 15`);
  }
  return word % 4 === 0 ? 1 + word / 4 : 8 + word;
}

/** Words of 4 bytes that a value of the type fills. */
export function registerWords(type: Datatype): number {
  return Math.ceil(valueLength(type) / 4);
}

type MetaKey = Exclude<
  Extract<Expression, { meta: unknown }>["meta"]["key"],
  number | undefined
>;

function metaSelector(text: string, key: MetaKey, type: Datatype): Selector {
  return { text, type, load: (dreg) => [{ meta: { key, dreg } }] };
}

function address(
  text: string,
  needs: "ipv4" | "ipv6",
  offset: number,
): AddressSelector {
  const type = needs === "ipv4" ? "ipv4_addr" : "ipv6_addr";
  const len = valueLength(type);
  return {
    text,
    type,
    needs,
    load: (dreg, length = len) => [
      { payload: { dreg, base: "network", offset, len: length } },
    ],
    // The TCP and UDP checksums cover the addresses (csumFlags 1). IPv4 has a header checksum besides, at offset 10.
    store: (sreg) => [{
      payload: {
        sreg,
        base: "network",
        offset,
        len,
        ...(needs === "ipv4" ? { csumType: "inet", csumOffset: 10 } : {}),
        csumFlags: 1,
      },
    }],
  };
}

/** Ethernet header fields. */
export const ether = {
  saddr: {
    text: "ether saddr",
    type: "ether_addr",
    needs: "ether",
    load: (dreg) => [{ payload: { dreg, base: "link", offset: 6, len: 6 } }],
  } satisfies Selector,
} as const;

/** IPv4 header fields. */
export const ip = {
  saddr: address("ip saddr", "ipv4", 12),
  daddr: address("ip daddr", "ipv4", 16),
} as const;

/** IPv6 header fields. */
export const ip6 = {
  saddr: address("ip6 saddr", "ipv6", 8),
  daddr: address("ip6 daddr", "ipv6", 24),
} as const;

/** A field of the packet inside an ICMP error, which begins 8 bytes into the message; nft knows it by offset only. */
function innerAddress(
  type: "ipv4_addr" | "ipv6_addr",
  offset: number,
): Writable {
  const len = valueLength(type);
  const payload = { base: "transport", offset, len } as const;
  return {
    text: `@th,${offset * 8},${len * 8}`,
    type,
    raw: true,
    load: (dreg) => [{ payload: { ...payload, dreg } }],
    // The checksum of the whole message is in its bytes 2 and 3.
    store: (sreg) => [
      { payload: { ...payload, sreg, csumType: "inet", csumOffset: 2 } },
    ],
  };
}

/** The first byte of a message; nft writes it as `icmp type` or `icmpv6 type`, as the rule says which it is. */
const messageType: Selector = {
  text: "@th,0,8",
  type: "inet_proto",
  raw: true,
  load: (dreg) => [{ payload: { dreg, base: "transport", offset: 0, len: 1 } }],
};

/** Fields of ICMP messages, the inner ones of errors. */
export const icmp = {
  type: messageType,
  innerSaddr: innerAddress("ipv4_addr", 8 + 12),
  innerDaddr: innerAddress("ipv4_addr", 8 + 16),
} as const;

/** Fields of ICMPv6 messages, the inner ones of errors. */
export const icmp6 = {
  type: messageType,
  innerSaddr: innerAddress("ipv6_addr", 8 + 8),
  innerDaddr: innerAddress("ipv6_addr", 8 + 24),
} as const;

/** Ports of TCP, UDP, SCTP and DCCP, which all have them in the first 4 bytes. */
export const th = {
  dport: {
    text: "th dport",
    type: "inet_service",
    load: (dreg) => [
      { payload: { dreg, base: "transport", offset: 2, len: 2 } },
    ],
  } satisfies Selector,
} as const;

/** Properties of the packet that are not in its headers. */
export const meta = {
  nfproto: metaSelector("meta nfproto", "nfproto", "nf_proto"),
  l4proto: metaSelector("meta l4proto", "l4proto", "inet_proto"),
  mark: metaSelector("meta mark", "mark", "mark"),
  iiftype: metaSelector("iiftype", "iiftype", "iface_type"),
  iif: metaSelector("iif", "iif", "iface_index"),
  iifname: metaSelector("iifname", "iifname", "ifname"),
  oifname: metaSelector("oifname", "oifname", "ifname"),
  iifgroup: metaSelector("iifgroup", "iifgroup", "devgroup"),
  oifgroup: metaSelector("oifgroup", "oifgroup", "devgroup"),
} as const;

/** Properties of the packet's connection. */
export const ct = {
  status: {
    text: "ct status",
    type: "ct_status",
    load: (dreg) => [{ ct: { key: "status", dreg } }],
  } satisfies Selector,
  direction: {
    text: "ct direction",
    type: "ct_dir",
    load: (dreg) => [{ ct: { key: "direction", dreg } }],
  } satisfies Selector,
} as const;

/** What a routing lookup starts from, as nft writes it. */
export type FibKey = "saddr" | "daddr" | "mark" | "iif" | "oif";

const FIB_FLAGS: Readonly<Record<FibKey | "present", number>> = {
  saddr: 1,
  daddr: 2,
  mark: 4,
  iif: 8,
  oif: 16,
  present: 32,
};

/** `NFTA_FIB_FLAGS` of a lookup from these keys. */
export function fibFlags(keys: readonly (FibKey | "present")[]): number {
  return keys.reduce((flags, key) => flags | FIB_FLAGS[key], 0);
}

/** The kind of address that a routing lookup of `keys` finds: `fib daddr type`. */
export function fibType(...keys: readonly FibKey[]): Selector {
  const flags = fibFlags(keys);
  return {
    text: `fib ${keys.join(" . ")} type`,
    type: "fib_addrtype",
    load: (dreg) => [{ fib: { dreg, result: "type", flags } }],
  };
}

/** A value of the selector as nft writes it. */
export function valueText({ raw, type }: Selector, value: Uint8Array): string {
  return raw
    ? `0x${value.toHex().replace(/^0+(?=.)/, "")}`
    : formatValue(type, value);
}

/** A selector cut down to the bits of `mask`, such as the highest one of a byte: `@th,0,8 & 0x80`. */
export function masked(of: Selector, mask: Value): Selector {
  const value = encodeValue(of.type, mask);
  return {
    ...of,
    text: `${of.text} & ${valueText(of, value)}`,
    operation: true,
    load: (dreg) => [...of.load(dreg), keepBits(dreg, value)],
  };
}

/** Leaves of what is in a register the bits of `mask`. */
export function keepBits(register: number, mask: Uint8Array): Expression {
  return maskXor(register, mask, new Uint8Array(mask.length));
}

/** Sets the bits of `bits` in what is in a register. */
export function addBits(register: number, bits: Uint8Array): Expression {
  return maskXor(register, bits.map((byte) => ~byte), bits);
}

function maskXor(
  register: number,
  mask: Uint8Array,
  xor: Uint8Array,
): Expression {
  return {
    bitwise: {
      sreg: register,
      dreg: register,
      len: mask.length,
      op: "maskXor",
      mask: { value: mask },
      xor: { value: xor },
    },
  };
}

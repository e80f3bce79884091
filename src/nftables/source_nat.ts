/**
 * Statements that give connections another source.
 *
 * @module
 */
import { IpAddress } from "../net/ip.ts";
import { encodeValue } from "./datatype.ts";
import { register } from "./expression.ts";
import type { Expression } from "./expression_tables.ts";
import type { Statement } from "./statement.ts";

const OPERAND = register(0);

// NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_SPECIFIED and NF_NAT_RANGE_PROTO_RANDOM_FULLY (linux/netfilter/nf_nat.h).
const ADDRESS = 1 << 0;
const RANDOM_OF_RANGE = 1 << 1 | 1 << 4;

/** Gives the connection the source address that routing chooses on the outgoing interface. */
export const masquerade: Statement = {
  text: "masquerade",
  expressions: [{ masq: {} }],
};

/**
 * As {@linkcode masquerade}, with one of these source ports at random, whichever the client has. A rule for protocols that
 * have ports, or nft does not read what it prints.
 */
export function masqueradeToPorts(first: number, last: number): Statement {
  const high = register(4);
  return {
    text: `masquerade to :${first}-${last} fully-random`,
    expressions: [
      loadPort(OPERAND, first),
      loadPort(high, last),
      {
        masq: {
          flags: RANDOM_OF_RANGE,
          regProtoMin: OPERAND,
          regProtoMax: high,
        },
      },
    ],
  };
}

/**
 * Gives the connection this source address.
 *
 * @throws {RangeError} when the text is not an IP address
 */
export function snatTo(address: string): Statement {
  const { family, text, load } = sourceOf(address);
  return {
    text: `snat ${family} to ${text}`,
    expressions: [load, {
      nat: { type: "snat", family: NAT_FAMILIES[family], regAddrMin: OPERAND },
    }],
  };
}

/**
 * As {@linkcode snatTo}, with one of these source ports at random; see {@linkcode masqueradeToPorts}.
 *
 * @throws {RangeError} when the text is not an IP address
 */
export function snatToPorts(
  address: string,
  first: number,
  last: number,
): Statement {
  const { family, text, load } = sourceOf(address);
  const shown = family === "ip" ? text : `[${text}]`;
  const [low, high] = [register(4), register(8)];
  return {
    text: `snat ${family} to ${shown}:${first}-${last} fully-random`,
    expressions: [
      load,
      loadPort(low, first),
      loadPort(high, last),
      {
        nat: {
          type: "snat",
          family: NAT_FAMILIES[family],
          regAddrMin: OPERAND,
          regProtoMin: low,
          regProtoMax: high,
          // As the kernel tells it; nft leaves the first to the kernel.
          flags: ADDRESS | RANDOM_OF_RANGE,
        },
      },
    ],
  };
}

const NAT_FAMILIES = { ip: "ipv4", ip6: "ipv6" } as const;

/** An address, and how it comes to be the operand. */
function sourceOf(address: string) {
  const source = IpAddress.parse(address);
  const load: Expression = {
    immediate: { dreg: OPERAND, data: { value: source.bytes } },
  };
  const family = source.family === 4 ? "ip" : "ip6";
  return { family, text: String(source), load } as const;
}

function loadPort(dreg: number, port: number): Expression {
  const value = encodeValue("inet_service", port);
  return { immediate: { dreg, data: { value } } };
}

/**
 * Statements that give connections another source.
 *
 * @module
 */
import { IpAddress } from "../net/ip.ts";
import { encodeValue } from "./datatype.ts";
import { register } from "./expression.ts";
import type { Expression } from "./expression_tables.ts";
import { load, NAT_FAMILIES, OPERAND, type Statement } from "./statement.ts";

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
  const { family, source } = sourceOf(address);
  return {
    text: `snat ${family} to ${source}`,
    expressions: [load(source.bytes), {
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
  const { family, source } = sourceOf(address);
  const shown = family === "ip" ? source : `[${source}]`;
  const [low, high] = [register(4), register(8)];
  return {
    text: `snat ${family} to ${shown}:${first}-${last} fully-random`,
    expressions: [
      load(source.bytes),
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

/** An address, and its family as nft has it. */
function sourceOf(address: string) {
  const source = IpAddress.parse(address);
  return { family: source.family === 4 ? "ip" : "ip6", source } as const;
}

function loadPort(dreg: number, port: number): Expression {
  return load(encodeValue("inet_service", port), dreg);
}

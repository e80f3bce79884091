/**
 * The statements that rules are made of, and {@linkcode rule}. Each reads as nft writes it and yields the expressions
 * that nft would.
 *
 * ```ts ignore
 * rule([equals(fibType("daddr"), "local"), goto("hostports")]);
 * rule([dnatToMap("ip", [ip.daddr, meta.l4proto, th.dport], "hp4ip")]);
 * rule([inSet([ip.saddr, ip.daddr], "hairpin4"), masquerade]);
 * ```
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import { encodeValue, type Value, valueLength } from "./datatype.ts";
import {
  addBits,
  fibFlags,
  type FibKey,
  type HeaderProtocol,
  keepBits,
  masked,
  meta,
  register,
  registerWords,
  type Selector,
  valueText,
  type Writable,
} from "./expression.ts";
import type { Expression } from "./expression_tables.ts";
import type { Rule } from "./ruleset.ts";

/** One part of a rule. */
export interface Statement {
  /** As `nft --stateless list` prints it. */
  readonly text: string;
  readonly expressions: readonly Expression[];
  /** The protocol that the statement reads or writes a header field of. */
  readonly needs?: HeaderProtocol;
}

/** Where every statement puts its operand: nothing lives in a register from one statement to the next. */
export const OPERAND: number = register(0);

/**
 * Makes a rule. The protocol check that header fields need is put before the first that needs it, as nft does; nft
 * leaves it out when it prints the rule, and so does the text.
 * @throws {RangeError} when one rule has fields of both IPv4 and IPv6, which no packet has
 */
export function rule(
  statements: readonly Statement[],
  options: { readonly comment?: string } = {},
): Rule {
  const expressions: Expression[] = [];
  const known = new Map<Selector, HeaderProtocol>();
  for (const { needs, text, expressions: own } of statements) {
    if (needs !== undefined) {
      const layer = needs === "ether" ? meta.iiftype : meta.nfproto;
      const before = known.get(layer);
      if (before !== undefined && before !== needs) {
        throw new RangeError(
          `"${text}" is never reached: the rule's packets are ${before}`,
        );
      }
      if (before === undefined) {
        known.set(layer, needs);
        expressions.push(...compare(layer, "eq", needs));
      }
    }
    expressions.push(...own);
  }
  return {
    expressions,
    text: statements.map((s) => s.text).join(" "),
    ...(options.comment === undefined ? {} : { comment: options.comment }),
  };
}

/** `needs` of a statement that has these selectors. */
export function needsOf(
  selectors: readonly Selector[],
): { readonly needs?: HeaderProtocol } {
  const needs = selectors.find((s) => s.needs !== undefined)?.needs;
  return needs === undefined ? {} : { needs };
}

function cmp(op: "eq" | "neq", value: Uint8Array): Expression {
  return { cmp: { sreg: OPERAND, op, data: { value } } };
}

function compare(
  selector: Selector,
  op: "eq" | "neq",
  value: Value,
): readonly Expression[] {
  const { type } = selector;
  if (typeof value === "string") {
    if (type === "ifname" && value.endsWith("*")) {
      const prefix = encodeValue(type, value.slice(0, -1));
      return [
        ...selector.load(OPERAND),
        cmp(op, prefix.subarray(0, prefix.indexOf(0))),
      ];
    }
    if ((type === "ipv4_addr" || type === "ipv6_addr") && value.includes("/")) {
      return compareNetwork(selector, op, Cidr.parse(value));
    }
  }
  return [...selector.load(OPERAND), cmp(op, encodeValue(type, value))];
}

function compareNetwork(
  selector: Selector,
  op: "eq" | "neq",
  { network, prefixLength, family }: Cidr,
): readonly Expression[] {
  if ((selector.type === "ipv4_addr" ? 4 : 6) !== family) {
    throw new RangeError(`${network} is not an address of ${selector.text}`);
  }
  if (prefixLength === 0) {
    throw new RangeError(`${selector.text} is always within ${network}/0`);
  }
  if (prefixLength % 8 === 0) {
    const length = prefixLength / 8;
    return [
      ...selector.load(OPERAND, length),
      cmp(op, network.bytes.subarray(0, length)),
    ];
  }
  const mask = new Uint8Array(network.bytes.length);
  for (let bit = 0; bit < prefixLength; bit++) {
    mask[bit >> 3] = (mask[bit >> 3] ?? 0) | 0x80 >> (bit & 7);
  }
  return [
    ...selector.load(OPERAND),
    keepBits(OPERAND, mask),
    cmp(op, network.bytes),
  ];
}

function textOf(selector: Selector, value: Value): string {
  if (typeof value === "string") {
    if (selector.type === "ifname") return `"${value}"`;
    if (value.includes("/")) return value;
  }
  return valueText(selector, encodeValue(selector.type, value));
}

/**
 * The selector has this value. An address may be a network (`"127.0.0.0/8"`), an interface name may end in `*`.
 * @throws {RangeError} when the value is not one of the selector's type
 */
export function equals(selector: Selector, value: Value): Statement {
  const relation = selector.operation ? "== " : "";
  return {
    text: `${selector.text} ${relation}${textOf(selector, value)}`,
    expressions: compare(selector, "eq", value),
    ...needsOf([selector]),
  };
}

/**
 * The selector has another value than this one; see {@linkcode equals}.
 * @throws {RangeError} when the value is not one of the selector's type
 */
export function differs(selector: Selector, value: Value): Statement {
  return {
    text: `${selector.text} != ${textOf(selector, value)}`,
    expressions: compare(selector, "neq", value),
    ...needsOf([selector]),
  };
}

/** The selector, `ct.status`, has this flag. */
export function has(selector: Selector, name: string): Statement {
  return {
    text: `${selector.text} ${name}`,
    expressions: [
      ...masked(selector, name).load(OPERAND),
      cmp("neq", new Uint8Array(valueLength(selector.type))),
    ],
  };
}

/** Loads the fields of a key one after the other, from the first register on. */
function loadKey(selectors: readonly Selector[]): readonly Expression[] {
  let word = 0;
  return selectors.flatMap((selector) => {
    const loads = selector.load(register(word));
    word += registerWords(selector.type);
    return loads;
  });
}

function keyText(selectors: readonly Selector[]): string {
  return selectors.map((s) => s.text).join(" . ");
}

/** The set has an element for these values. */
export function inSet(
  selectors: readonly Selector[],
  set: string,
): Statement {
  return {
    text: `${keyText(selectors)} @${set}`,
    expressions: [...loadKey(selectors), { lookup: { set, sreg: OPERAND } }],
    ...needsOf(selectors),
  };
}

/** The set has no element for these values. */
export function notInSet(
  selectors: readonly Selector[],
  set: string,
): Statement {
  return {
    text: `${keyText(selectors)} != @${set}`,
    expressions: [
      ...loadKey(selectors),
      { lookup: { set, sreg: OPERAND, flags: 1 } },
    ],
    ...needsOf(selectors),
  };
}

/** A routing lookup from these keys finds no route: `fib saddr . iif oif missing` is true of a spoofed source. */
export function fibMissing(...keys: readonly FibKey[]): Statement {
  return {
    text: `fib ${keys.join(" . ")} oif missing`,
    expressions: [
      {
        fib: {
          dreg: OPERAND,
          result: "oif",
          flags: fibFlags([...keys, "present"]),
        },
      },
      // "present" is a word: 0 or 1.
      cmp("eq", new Uint8Array(4)),
    ],
  };
}

/** A routing lookup from these keys finds a route; see {@linkcode fibMissing}. */
export function fibExists(...keys: readonly FibKey[]): Statement {
  const [lookup] = fibMissing(...keys).expressions;
  return {
    text: `fib ${keys.join(" . ")} oif exists`,
    expressions: [
      ...lookup === undefined ? [] : [lookup],
      cmp("eq", new Uint8Array(Uint32Array.of(1).buffer)),
    ],
  };
}

/** Puts a value into a register. */
export function load(value: Uint8Array, dreg: number = OPERAND): Expression {
  return { immediate: { dreg, data: { value } } };
}

/**
 * Writes a value: `ip saddr set 10.244.1.1`. Checksums are mended.
 * @throws {RangeError} when the value is not one of the selector's type
 */
export function set(selector: Writable, value: Value): Statement {
  return {
    text: `${selector.text} set ${textOf(selector, value)}`,
    expressions: [
      load(encodeValue(selector.type, value)),
      ...selector.store(OPERAND),
    ],
    ...needsOf([selector]),
  };
}

/** Writes what another field of the packet has, of the same type: `ip saddr set @th,192,32`. Checksums are mended. */
export function copy(to: Writable, from: Selector): Statement {
  return {
    text: `${to.text} set ${from.text}`,
    expressions: [...from.load(OPERAND), ...to.store(OPERAND)],
    ...needsOf([to]),
  };
}

/** Sets bits of the packet's mark, and leaves the others: `meta mark set meta mark | 0x2000`. */
export function addMark(bits: number): Statement {
  const value = encodeValue(meta.mark.type, bits);
  return changeMark("|", value, addBits(OPERAND, value));
}

/** Leaves these bits of the packet's mark, and no others: `meta mark set meta mark & 0xffffdfff`. */
export function keepMark(bits: number): Statement {
  const value = encodeValue(meta.mark.type, bits);
  return changeMark("&", value, keepBits(OPERAND, value));
}

function changeMark(
  operator: "|" | "&",
  bits: Uint8Array,
  change: Expression,
): Statement {
  return {
    text: `meta mark set meta mark ${operator} ${valueText(meta.mark, bits)}`,
    expressions: [
      ...meta.mark.load(OPERAND),
      change,
      { meta: { key: "mark", sreg: OPERAND } },
    ],
  };
}

/** Address families by nft's words for them. */
export const NAT_FAMILIES = { ip: "ipv4", ip6: "ipv6" } as const;

/**
 * Sends the connection to the address and port that the map has for these values; without an element the rule ends.
 * The map's data is an address of the family and a port.
 */
export function dnatToMap(
  family: keyof typeof NAT_FAMILIES,
  selectors: readonly Selector[],
  map: string,
): Statement {
  const port = registerWords(family === "ip" ? "ipv4_addr" : "ipv6_addr");
  return {
    text: `dnat ${family} to ${keyText(selectors)} map @${map}`,
    expressions: [
      ...loadKey(selectors),
      { lookup: { set: map, sreg: OPERAND, dreg: OPERAND } },
      {
        nat: {
          type: "dnat",
          family: NAT_FAMILIES[family],
          regAddrMin: OPERAND,
          regProtoMin: register(port),
        },
      },
    ],
    ...needsOf(selectors),
  };
}

/** The packet is of no connection, so no translation of one is done to it. Before connection tracking, at -200. */
export const notrack: Statement = {
  text: "notrack",
  expressions: [{ notrack: {} }],
};

type VerdictName = "accept" | "drop" | "return";

function decide(
  text: string,
  verdict: { readonly code: VerdictName | "jump" | "goto"; chain?: string },
): Statement {
  return {
    text,
    expressions: [{ immediate: { dreg: 0, data: { verdict } } }],
  };
}

/** Ends the rule with a verdict: `return` goes back to the calling chain, or to the policy of a base chain. */
export function verdict(name: VerdictName): Statement {
  return decide(name, { code: name });
}

/** Goes on in another chain and comes back after it. */
export function jump(chain: string): Statement {
  return decide(`jump ${chain}`, { code: "jump", chain });
}

/** Goes on in another chain and does not come back. */
export function goto(chain: string): Statement {
  return decide(`goto ${chain}`, { code: "goto", chain });
}

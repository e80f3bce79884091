/**
 * Statements that keep account: sets that rules fill themselves, and chance.
 *
 * @module
 */
import type { Selector } from "./expression.ts";
import type { Expression } from "./expression_tables.ts";
import { needsOf, OPERAND, type Statement } from "./statement.ts";

/** `NFT_CONNLIMIT_F_INV`. */
const MORE_THAN = 1;

/** One packet in `count`, at random. */
export function sampled(count: number): Statement {
  return {
    text: `numgen random mod ${count} 0`,
    expressions: [
      { numgen: { dreg: OPERAND, modulus: count, type: "random", offset: 0 } },
      { cmp: { sreg: OPERAND, op: "eq", data: { value: new Uint8Array(4) } } },
    ],
  };
}

/**
 * Adds the packet's connection to those of the selector's value, and goes on when they are more than `count` by now.
 * Connections that have ended do not count (nft_connlimit.c).
 */
export function countOver(
  selector: Selector,
  set: string,
  count: number,
): Statement {
  return {
    text: `add @${set} { ${selector.text} ct count over ${count} }`,
    ...update(selector, {
      setName: set,
      op: "add",
      sregKey: OPERAND,
      expr: { connlimit: { count, flags: MORE_THAN } },
    }),
  };
}

/** Puts the selector's value into the set, or makes it stay there for longer. */
export function remember(selector: Selector, set: string): Statement {
  return {
    text: `update @${set} { ${selector.text} }`,
    ...update(selector, {
      setName: set,
      op: "update",
      sregKey: OPERAND,
    }),
  };
}

/** Takes the selector's value out of the set. */
export function forget(selector: Selector, set: string): Statement {
  return {
    text: `delete @${set} { ${selector.text} }`,
    ...update(selector, {
      setName: set,
      op: "delete",
      sregKey: OPERAND,
    }),
  };
}

function update(
  selector: Selector,
  dynset: Extract<Expression, { dynset: unknown }>["dynset"],
): Omit<Statement, "text"> {
  return {
    expressions: [...selector.load(OPERAND), { dynset }],
    ...needsOf([selector]),
  };
}

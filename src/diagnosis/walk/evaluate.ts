/**
 * What a rule does to a packet that stands for many: for sure, perhaps, or not at all.
 *
 * @module
 */
import type { Expression } from "../../nftables/expression_tables.ts";
import type { IpHook, RuleFacts, SetFacts } from "../facts/ruleset.ts";
import { type Answer, type Bits, not, unknown } from "./bits.ts";
import { between, equal, maskXor, swapped } from "./bits.ts";
import { metadata, type Packet, payload, routing, tracking } from "./packet.ts";
import { lookUp } from "./sets.ts";
import { xtMatch, xtTarget } from "./xtables.ts";

/** What becomes of a packet. */
export type Verdict =
  | { readonly kind: "accept" | "drop" | "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: string }
  /** Its source or destination is replaced; nothing else in the chain sees it. */
  | { readonly kind: "snat" | "dnat" };

/** A verdict, and whether it is certain that the rule gives it. */
export interface RuleOutcome {
  readonly verdict: Verdict;
  readonly certain: boolean;
}

/** What a rule is evaluated with. */
export interface Surroundings {
  readonly packet: Packet;
  readonly hook: IpHook;
  readonly sets: ReadonlyMap<string, SetFacts>;
}

/** The registers of one rule: 64 bytes, in places of 16 or of 4 (enum nft_registers). */
class Registers {
  readonly #bytes = new Uint8Array(128);
  readonly #known = new Uint8Array(128);

  read(register = 0, length = 64): Bits {
    const at = placeOf(register);
    return {
      bytes: this.#bytes.slice(at, at + length),
      known: this.#known.slice(at, at + length),
    };
  }

  write(register = 0, { bytes, known }: Bits): void {
    const at = placeOf(register);
    // The rest of the last word is zero.
    const end = at + (bytes.length + 3 & ~3);
    this.#bytes.fill(0, at, end).set(bytes.subarray(0, 64), at);
    this.#known.fill(0xff, at, end).set(known.subarray(0, 64), at);
  }

  forget(): void {
    this.#known.fill(0);
  }
}

function placeOf(register: number): number {
  return register < 8 ? Math.max(0, register - 1) * 16 : (register - 8) * 4;
}

/** The verdicts that a rule may give a packet; none when it does not match, or only counts or marks. */
export function evaluate(
  rule: RuleFacts,
  surroundings: Surroundings,
): readonly RuleOutcome[] {
  const registers = new Registers();
  let certain = true;
  for (const expression of rule.expressions) {
    const result = step(expression, registers, surroundings);
    if (typeof result === "object") {
      return result.map((outcome) => ({
        verdict: outcome.verdict,
        certain: certain && outcome.certain,
      }));
    }
    if (result === "no") return [];
    if (result === "maybe") certain = false;
  }
  return [];
}

/** Whether the rule goes on, or the verdicts that end it. */
function step(
  expression: Expression,
  registers: Registers,
  { packet, hook, sets }: Surroundings,
): Answer | readonly RuleOutcome[] {
  const sure = (kind: "accept" | "drop" | "snat" | "dnat") => [
    { verdict: { kind }, certain: true },
  ];
  if ("meta" in expression) {
    const { dreg, key = "" } = expression.meta;
    if (dreg !== undefined) {
      registers.write(dreg, metadata(packet, hook, key));
    }
  } else if ("ct" in expression) {
    const { dreg, key = "" } = expression.ct;
    if (dreg !== undefined) registers.write(dreg, tracking(packet, key));
  } else if ("payload" in expression) {
    const { dreg, base = "", offset = 0, len = 0 } = expression.payload;
    if (dreg !== undefined) {
      registers.write(dreg, payload(packet, base, offset, len));
    }
  } else if ("fib" in expression) {
    const { dreg, result = 0, flags = 0 } = expression.fib;
    registers.write(dreg, routing(packet, result, flags));
  } else if ("bitwise" in expression) {
    const { sreg, dreg, len = 0, mask, xor, op = "maskXor" } =
      expression.bitwise;
    registers.write(
      dreg,
      op === "maskXor" && mask?.value !== undefined
        ? maskXor(
          registers.read(sreg, len),
          mask.value,
          xor?.value ?? mask.value.map(() => 0),
        )
        : unknown(len),
    );
  } else if ("byteorder" in expression) {
    const { sreg, dreg, len = 0, size = 4 } = expression.byteorder;
    registers.write(dreg, swapped(registers.read(sreg, len), size));
  } else if ("cmp" in expression) {
    const { sreg, op = "eq", data } = expression.cmp;
    const value = data?.value ?? new Uint8Array();
    return compare(registers.read(sreg, value.length), op, value);
  } else if ("range" in expression) {
    const { sreg, op = "eq", fromData, toData } = expression.range;
    const first = fromData?.value ?? new Uint8Array();
    const inside = between(
      registers.read(sreg, first.length),
      first,
      toData?.value ?? first,
    );
    return op === "neq" ? not(inside) : inside;
  } else if ("lookup" in expression) {
    const { sreg, dreg, set = "", flags = 0 } = expression.lookup;
    const found = lookUp(sets.get(set), registers.read(sreg));
    if (dreg === undefined) {
      const INVERTED = 1;
      return (flags & INVERTED) !== 0 ? not(found.answer) : found.answer;
    }
    if (dreg !== VERDICT_REGISTER) {
      registers.write(dreg, unknown(64));
      return found.answer;
    }
    return found.answer === "no" ? "no" : found.verdicts.flatMap((data) => {
      const verdict = verdictOf(data);
      return verdict === undefined
        ? []
        : [{ verdict, certain: found.answer === "yes" }];
    });
  } else if ("immediate" in expression) {
    const { dreg = VERDICT_REGISTER, data } = expression.immediate;
    if (dreg === VERDICT_REGISTER) {
      const verdict = verdictOf(data?.verdict ?? {});
      return verdict === undefined ? "yes" : [{ verdict, certain: true }];
    }
    const value = data?.value ?? new Uint8Array();
    registers.write(dreg, { bytes: value, known: value.map(() => 0xff) });
  } else if ("reject" in expression) {
    return sure("drop");
  } else if ("nat" in expression) {
    return sure(expression.nat.type === "snat" ? "snat" : "dnat");
  } else if ("masq" in expression) {
    return sure("snat");
  } else if ("$other" in expression) {
    const { name, data } = expression.$other;
    if (name === "redir" || name === "tproxy") return sure("dnat");
    if (name === "match") return xtMatch(data, packet);
    if (name === "target") {
      const kind = xtTarget(data);
      return kind === undefined ? "yes" : sure(kind);
    }
    // What it loads, and where, is not known.
    if (!TRANSPARENT.has(name)) registers.forget();
    return DOUBTFUL.has(name) ? "maybe" : "yes";
  }
  return "yes";
}

const VERDICT_REGISTER = 0;

/** Expressions that neither load a register nor decide. */
const TRANSPARENT: ReadonlySet<string> = new Set([
  "log",
  "notrack",
  "objref",
  "dup",
  "fwd",
  "flow_offload",
  "last",
  "limit",
  "quota",
  "connlimit",
  "dynset",
]);

/** Expressions that match some packets and not others, however alike they are. */
const DOUBTFUL: ReadonlySet<string> = new Set([
  "limit",
  "quota",
  "connlimit",
  "dynset",
]);

function compare(bits: Bits, op: string | number, value: Uint8Array): Answer {
  const lowest = value.map(() => 0);
  const highest = value.map(() => 0xff);
  switch (op) {
    case "eq":
      return equal(bits, value);
    case "neq":
      return not(equal(bits, value));
    case "lte":
      return between(bits, lowest, value);
    case "gt":
      return not(between(bits, lowest, value));
    case "gte":
      return between(bits, value, highest);
    case "lt":
      return not(between(bits, value, highest));
    default:
      return "maybe";
  }
}

function verdictOf(
  { code, chain = "" }: { code?: string | number; chain?: string },
): Verdict | undefined {
  switch (code) {
    case "accept":
    case "drop":
    case "return":
      return { kind: code };
    case "jump":
    case "goto":
      return { kind: code, chain };
    default:
      return undefined; // continue, or a queue of a program
  }
}

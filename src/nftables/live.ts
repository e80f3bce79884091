/**
 * Tables as the kernel has them, and how they differ from what they should be.
 *
 * @module
 */
import { keyLength, typeNumber } from "./datatype.ts";
import type { Expression } from "./expression_tables.ts";
import type { Chain, Hook, NftSet, Rule, Table } from "./ruleset.ts";
import { setFlags } from "./transaction.ts";

/** A table without its elements. */
export interface LiveTable {
  readonly name: string;
  /** Changes when a table is deleted and made again. */
  readonly handle: bigint;
  readonly comment?: string;
  /** Whether it is switched off: the kernel enters none of its chains. */
  readonly isDormant: boolean;
  readonly sets: readonly LiveSet[];
  readonly chains: readonly LiveChain[];
}

/** A chain of the kernel. */
export interface LiveChain {
  readonly name: string;
  readonly handle: bigint;
  readonly hook?: Required<Hook>;
  readonly rules: readonly LiveRule[];
}

/** A rule of the kernel. */
export interface LiveRule {
  readonly handle: bigint;
  readonly expressions: readonly Expression[];
  readonly comment?: string;
}

/** A set of the kernel. */
export interface LiveSet {
  readonly name: string;
  readonly flags: number;
  /** nft's type number; see `typesOf()`. */
  readonly keyType: number;
  readonly keyBytes: number;
  readonly dataType: number;
  readonly dataBytes: number;
}

/**
 * What of a table is missing or wrong in the kernel, and what there is besides, one line each; empty when the kernel has
 * the table as it should be. Elements are not compared.
 */
export function differences(
  wanted: Table,
  live: LiveTable | undefined,
): readonly string[] {
  if (live === undefined) return [`table ${wanted.name} is missing`];
  const found = live.isDormant
    ? [`table ${wanted.name} is dormant, which switches its rules off`]
    : [];
  for (const set of wanted.sets) {
    const other = live.sets.find((s) => s.name === set.name);
    if (other === undefined) found.push(`set ${set.name} is missing`);
    else if (!sameSet(set, other)) found.push(`set ${set.name} differs`);
  }
  for (const chain of wanted.chains) {
    const other = live.chains.find((c) => c.name === chain.name);
    if (other === undefined) found.push(`chain ${chain.name} is missing`);
    else found.push(...chainDifferences(chain, other));
  }
  for (const { name } of live.chains) {
    if (!wanted.chains.some((chain) => chain.name === name)) {
      found.push(`chain ${name} is not ours`);
    }
  }
  return found;
}

/** Whether a set can hold what it should: its types and kind are those wanted. */
export function sameSet(wanted: NftSet, live: LiveSet): boolean {
  const { key, data = [] } = wanted;
  return live.keyType === typeNumber(key) && live.keyBytes === keyLength(key) &&
    live.dataType === typeNumber(data) && live.dataBytes === keyLength(data) &&
    live.flags === setFlags(wanted);
}

function chainDifferences(
  { name, hook, rules }: Chain,
  live: LiveChain,
): readonly string[] {
  const found: string[] = [];
  const full = hook === undefined
    ? undefined
    : { ...hook, policy: hook.policy ?? "accept" };
  if (
    full?.type !== live.hook?.type || full?.hook !== live.hook?.hook ||
    full?.priority !== live.hook?.priority ||
    full?.policy !== live.hook?.policy
  ) {
    found.push(`chain ${name} is attached in another way`);
  }
  for (const [i, rule] of rules.entries()) {
    const other = live.rules[i];
    if (other === undefined) {
      found.push(`rule "${rule.text ?? i}" of chain ${name} is missing`);
    } else if (!sameRule(rule, other)) {
      found.push(`rule "${rule.text ?? i}" of chain ${name} differs`);
    }
  }
  if (live.rules.length > rules.length) {
    found.push(
      `chain ${name} has ${live.rules.length - rules.length} rules too many`,
    );
  }
  return found;
}

function sameRule(wanted: Rule, live: LiveRule): boolean {
  return wanted.expressions.length === live.expressions.length &&
    wanted.expressions.every((e, i) => includes(live.expressions[i], e));
}

/** Whether `live` has everything that `wanted` has. The kernel adds defaults and counts to what it was given. */
function includes(live: unknown, wanted: unknown): boolean {
  if (wanted instanceof Uint8Array) {
    return live instanceof Uint8Array && live.length === wanted.length &&
      wanted.every((byte, i) => live[i] === byte);
  }
  if (typeof wanted !== "object" || wanted === null) return live === wanted;
  if (typeof live !== "object" || live === null) return false;
  return Object.entries(wanted).every(([key, value]) =>
    includes((live as Record<string, unknown>)[key], value)
  );
}

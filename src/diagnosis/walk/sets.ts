/**
 * Whether a packet that stands for many is in a set.
 *
 * @module
 */
import { compareBytes, predecessor } from "../../nftables/element.ts";
import type { VerdictAttrs } from "../../nftables/expression_tables.ts";
import { type ElementAttrs, ElementFlag } from "../../nftables/tables.ts";
import type { SetFacts } from "../facts/ruleset.ts";
import { type Answer, between, type Bits, equal } from "./bits.ts";

/** What a lookup finds. */
export interface Found {
  readonly answer: Answer;
  /** Of a verdict map: the verdicts of the elements that may match. */
  readonly verdicts: readonly VerdictAttrs[];
}

/** Looks a key up, the first bytes of `key`. */
export function lookUp(set: SetFacts | undefined, key: Bits): Found {
  const elements = set?.elements;
  // Keys of several fields with ranges are not compared here.
  if (
    set === undefined || elements === undefined ||
    set.interval && set.concatenated
  ) {
    return { answer: "maybe", verdicts: [] };
  }
  const matches = set.interval ? ranges(elements) : elements.map((element) => ({
    element,
    test: (bits: Bits) => equal(bits, keyOf(element)),
  }));
  const verdicts: VerdictAttrs[] = [];
  let answer: Answer = "no";
  for (const { element, test } of matches) {
    const one = test(key);
    if (one === "no") continue;
    const verdict = element.data?.verdict;
    if (one === "yes") {
      return {
        answer: "yes",
        verdicts: verdict === undefined ? [] : [verdict],
      };
    }
    answer = "maybe";
    if (verdict !== undefined) verdicts.push(verdict);
  }
  return { answer, verdicts };
}

/** An element of a set of ranges begins one, which the next element ends (nft_set_rbtree). */
function ranges(elements: readonly ElementAttrs[]) {
  const isEnd = ({ flags = 0 }: ElementAttrs) =>
    (flags & ElementFlag.intervalEnd) !== 0;
  const sorted = elements.toSorted((a, b) =>
    compareBytes(keyOf(a), keyOf(b)) || Number(isEnd(b)) - Number(isEnd(a))
  );
  return sorted.flatMap((element, i) => {
    if (isEnd(element)) return [];
    const first = keyOf(element);
    const next = sorted[i + 1];
    const last = next === undefined
      ? new Uint8Array(first.length).fill(0xff)
      : predecessor(keyOf(next));
    return [{ element, test: (bits: Bits) => between(bits, first, last) }];
  });
}

function keyOf({ key }: ElementAttrs): Uint8Array {
  return key?.value ?? new Uint8Array();
}

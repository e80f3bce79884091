/**
 * The way of a packet that stands for many through a base chain and the chains that it leads to.
 *
 * @module
 */
import type { ChainFacts, IpHook, TableFacts } from "../facts/ruleset.ts";
import { evaluate, type Verdict } from "./evaluate.ts";
import type { Packet } from "./packet.ts";

/** A rule, or the policy of a base chain. */
export interface Place {
  readonly chain: string;
  /** Undefined for the policy. */
  readonly handle?: number;
}

/** Where a packet may be translated, or dropped. */
export interface Possibility {
  readonly place: Place;
  readonly certain: boolean;
}

/** What a base chain does with a packet. */
export interface Passage {
  /** What becomes of it, unless a rule that cannot be judged decides otherwise. */
  readonly verdict: "accept" | "drop";
  /** Nothing that cannot be judged comes before. */
  readonly certain: boolean;
  /** What gives the verdict. */
  readonly by: Place;
  /** Rules that drop some of these packets, as far as can be told. */
  readonly possibleDrops: readonly Place[];
  /** Rules that may replace the source. */
  readonly sourceTranslations: readonly Possibility[];
  /** Rules that may replace the destination. */
  readonly destinationTranslations: readonly Possibility[];
}

/** The kernel nests no deeper (NFT_JUMP_STACK_SIZE). */
const MAX_DEPTH = 16;

/** More steps than this are not worth the time: what comes after them is not known. */
const MAX_STEPS = 20_000;

type End = { readonly verdict: "accept" | "drop"; readonly by: Place };

/** Walks a packet through a base chain. */
export function walk(
  table: TableFacts,
  chain: ChainFacts & { readonly hook: object },
  packet: Packet,
): Passage {
  const journey = new Journey(table, chain.hook.hook, packet);
  const end = journey.run(chain, 0, true) ??
    { verdict: chain.hook.policy, by: { chain: chain.name } };
  return journey.passage(end);
}

class Journey {
  readonly #table: TableFacts;
  readonly #hook: IpHook;
  readonly #packet: Packet;
  readonly #possibleDrops: Place[] = [];
  readonly #translations: {
    readonly snat: Possibility[];
    readonly dnat: Possibility[];
  } = { snat: [], dnat: [] };
  #steps = 0;
  /** A rule that cannot be judged may have ended the way, or led it past the rest of a chain. */
  #doubt = false;

  constructor(table: TableFacts, hook: IpHook, packet: Packet) {
    this.#table = table;
    this.#hook = hook;
    this.#packet = packet;
  }

  passage(end: End): Passage {
    return {
      ...end,
      certain: !this.#doubt,
      possibleDrops: this.#possibleDrops,
      sourceTranslations: this.#translations.snat,
      destinationTranslations: this.#translations.dnat,
    };
  }

  /**
   * Where the way ends in this chain; undefined when it comes out at its end.
   *
   * @param sure whether it is certain that the way leads here
   */
  run(chain: ChainFacts, depth: number, sure: boolean): End | undefined {
    for (const rule of chain.rules) {
      if (++this.#steps > MAX_STEPS) {
        this.#doubt = true;
        return undefined;
      }
      const place = { chain: chain.name, handle: rule.handle };
      const outcomes = evaluate(rule, {
        packet: this.#packet,
        hook: this.#hook,
        sets: this.#table.sets,
      });
      for (const { verdict, certain } of outcomes) {
        const end = this.#follow(verdict, place, depth, sure && certain);
        if (certain) {
          if (end !== undefined) return end;
          if (verdict.kind === "return" || verdict.kind === "goto") {
            return undefined;
          }
        } else if (end?.verdict === "drop") {
          this.#possibleDrops.push(end.by);
        } else if (end !== undefined || verdict.kind !== "jump") {
          this.#doubt = true;
        }
      }
    }
    return undefined;
  }

  #follow(
    verdict: Verdict,
    place: Place,
    depth: number,
    sure: boolean,
  ): End | undefined {
    switch (verdict.kind) {
      case "accept":
      case "drop":
        return { verdict: verdict.kind, by: place };
      case "snat":
      case "dnat":
        this.#translations[verdict.kind].push({
          place,
          certain: sure && !this.#doubt,
        });
        return { verdict: "accept", by: place };
      case "return":
        return undefined;
      case "jump":
      case "goto": {
        const target = this.#table.chains.get(verdict.chain);
        if (target === undefined || depth >= MAX_DEPTH) return undefined;
        return this.run(target, depth + 1, sure);
      }
    }
  }
}

/**
 * All of nf_tables in the namespace of the node, whoever's it is.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import type { Codec, Infer } from "../../netlink/codec.ts";
import type { Connection } from "../../netlink/connection.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import type { Expression } from "../../nftables/expression_tables.ts";
import {
  chainMessage,
  type ElementAttrs,
  elementMessage,
  flowtableMessage,
  type NftBody,
  NftMessage,
  ruleMessage,
  setMessage,
  TableFlag,
  tableMessage,
} from "../../nftables/tables.ts";
import { decodeComment } from "../../nftables/userdata.ts";
import type { Witness } from "./witness.ts";

/** Families of tables, by the kernel's numbers (`NFPROTO_*`, linux/netfilter.h). */
const FAMILIES = {
  1: "inet",
  2: "ip",
  3: "arp",
  5: "netdev",
  7: "bridge",
  10: "ip6",
} as const;

/** The family of a table, as nft names it. */
export type TableFamily = (typeof FAMILIES)[keyof typeof FAMILIES];

/** Where packets of IP enter a chain. */
export type IpHook =
  | "prerouting"
  | "input"
  | "forward"
  | "output"
  | "postrouting";

const HOOKS: readonly IpHook[] = [
  "prerouting",
  "input",
  "forward",
  "output",
  "postrouting",
];

/** A rule. */
export interface RuleFacts {
  /** As nft names it for deletion. */
  readonly handle: number;
  readonly expressions: readonly Expression[];
}

/** A chain. */
export interface ChainFacts {
  readonly name: string;
  /** Of base chains: where packets enter it. Undefined for hooks that are not of IP, and of a table that is dormant. */
  readonly hook?: {
    readonly type: string;
    readonly hook: IpHook;
    readonly priority: number;
    readonly policy: "accept" | "drop";
  };
  readonly rules: readonly RuleFacts[];
}

/** A set or map whose elements rules ask for. */
export interface SetFacts {
  readonly interval: boolean;
  readonly concatenated: boolean;
  /** How many elements the kernel has; the ends of ranges are counted too. */
  readonly count: number;
  /** Undefined when they are too many to look at. */
  readonly elements?: readonly ElementAttrs[];
}

/** A table. */
export interface TableFacts {
  readonly family: TableFamily;
  readonly name: string;
  readonly comment?: string;
  /** By name. */
  readonly chains: ReadonlyMap<string, ChainFacts>;
  /** By name; those that rules look up. */
  readonly sets: ReadonlyMap<string, SetFacts>;
  /** Names of flowtables. */
  readonly flowtables: readonly string[];
}

/** Of a set with more elements it is not known what it matches. */
const MAX_ELEMENTS = 4096;

/** More rules than this are not read. */
const MAX_RULES = 50_000;

/**
 * Looks. Costs about 10 µs a rule.
 *
 * @returns undefined when it may not be seen
 */
export function rulesetFacts(
  witness: Witness,
  netfilter: Connection | undefined,
): readonly TableFacts[] | undefined {
  if (netfilter === undefined) return undefined;
  return witness.see(
    "nf_tables rules",
    () => readRuleset(witness, netfilter),
  );
}

function readRuleset(
  witness: Witness,
  netfilter: Connection,
): readonly TableFacts[] {
  const ask = <A>(what: string, type: number, codec: Codec<NftBody<A>>) =>
    orNone(() =>
      netfilter.dump({
        operation: `list ${what}`,
        type,
        flags: 0,
        codec,
        value: { header: {}, attrs: {} as A },
      })
    );
  const tables = ask("tables", NftMessage.getTable, tableMessage);
  const chains = groupByTable(
    ask("chains", NftMessage.getChain, chainMessage),
    "table",
  );
  const ruleList = ask("rules", NftMessage.getRule, ruleMessage);
  if (ruleList.length > MAX_RULES) {
    witness.note("nf_tables rules", `${ruleList.length} are too many to read`);
  }
  const rules = groupByTable(
    ruleList.length > MAX_RULES ? [] : ruleList,
    "table",
  );
  const sets = groupByTable(
    ask("sets", NftMessage.getSet, setMessage),
    "table",
  );
  const flowtables = groupByTable(
    ask("flowtables", NftMessage.getFlowtable, flowtableMessage),
    "table",
  );
  return tables.flatMap(({ header, attrs }) => {
    const { name = "", flags = 0, userdata } = attrs;
    const isDormant = (flags & TableFlag.dormant) !== 0;
    const number = header.family as keyof typeof FAMILIES;
    const family = FAMILIES[number];
    if (family === undefined) return [];
    const key = `${number} ${name}`;
    const ofChain = Map.groupBy(
      rules.get(key) ?? [],
      ({ attrs }) => attrs.chain ?? "",
    );
    const asked = new Set(
      (rules.get(key) ?? []).flatMap(({ attrs }) =>
        (attrs.expressions ?? []).flatMap((e) =>
          "lookup" in e && e.lookup.set !== undefined ? [e.lookup.set] : []
        )
      ),
    );
    const comment = decodeComment(userdata);
    return [{
      family,
      name,
      ...(comment === undefined ? {} : { comment }),
      chains: new Map(
        (chains.get(key) ?? []).map(({ attrs }) => [
          attrs.name ?? "",
          chainFacts(
            family,
            isDormant ? withoutHook(attrs) : attrs,
            ofChain.get(attrs.name ?? "") ?? [],
          ),
        ]),
      ),
      sets: new Map(
        (sets.get(key) ?? []).filter(({ attrs }) => asked.has(attrs.name ?? ""))
          .map(({ attrs }) => [
            attrs.name ?? "",
            setFacts(netfilter, number, name, attrs),
          ]),
      ),
      flowtables: (flowtables.get(key) ?? []).map(({ attrs }) =>
        attrs.name ?? ""
      ),
    }];
  });
}

type ChainAttrs = Infer<typeof chainMessage>["attrs"];
type RuleBody = Infer<typeof ruleMessage>;
type SetAttrs = Infer<typeof setMessage>["attrs"];

function groupByTable<A extends { table?: string }>(
  bodies: readonly NftBody<A>[],
  key: "table",
): Map<string, NftBody<A>[]> {
  return Map.groupBy(
    bodies,
    ({ header, attrs }) => `${header.family ?? 0} ${attrs[key] ?? ""}`,
  );
}

function withoutHook({ hook: _hook, ...chain }: ChainAttrs): ChainAttrs {
  return chain;
}

function chainFacts(
  family: TableFamily,
  { name = "", hook, type = "filter", policy }: ChainAttrs,
  rules: readonly RuleBody[],
): ChainFacts {
  const ofIp = family === "inet" || family === "ip" || family === "ip6";
  const hookName = ofIp ? HOOKS[hook?.hooknum ?? -1] : undefined;
  const NF_DROP = 0;
  return {
    name,
    ...(hookName === undefined ? {} : {
      hook: {
        type,
        hook: hookName,
        priority: hook?.priority ?? 0,
        policy: policy === NF_DROP ? "drop" : "accept",
      },
    }),
    rules: rules.map(({ attrs }) => ({
      handle: Number(attrs.handle ?? 0n),
      expressions: attrs.expressions ?? [],
    })),
  };
}

/** Flags of sets (`NFT_SET_*`). */
const SET_INTERVAL = 0x4;
const SET_CONCAT = 0x80;

function setFacts(
  netfilter: Connection,
  family: number,
  table: string,
  { name: set = "", flags = 0, desc }: SetAttrs,
): SetFacts {
  const bodies = orNone(() =>
    netfilter.dump({
      operation: `list set ${table} ${set}`,
      type: NftMessage.getSetElem,
      flags: 0,
      codec: elementMessage,
      value: { header: { family }, attrs: { table, set } },
    })
  );
  const elements = bodies.flatMap(({ attrs }) => attrs.elements ?? []);
  return {
    interval: (flags & SET_INTERVAL) !== 0,
    concatenated: (flags & SET_CONCAT) !== 0 || (desc?.concat?.length ?? 0) > 1,
    count: elements.length,
    ...(elements.length > MAX_ELEMENTS ? {} : { elements }),
  };
}

/** A kernel that lacks a kind of object has none of them. */
function orNone<T>(dump: () => T[]): T[] {
  try {
    return dump();
  } catch (error) {
    if (
      isNetlinkError(error, Errno.ENOENT, Errno.EOPNOTSUPP, Errno.EINVAL)
    ) return [];
    throw error;
  }
}

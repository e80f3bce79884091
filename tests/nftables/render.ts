/**
 * Tables as text, written as `nft --stateless list table` writes them.
 *
 * @module
 */
import {
  formatKey,
  formatRange,
  splitKey,
} from "../../src/nftables/datatype.ts";
import { compareBytes } from "../../src/nftables/element.ts";
import type {
  Chain,
  Element,
  Hook,
  NftSet,
  Rule,
  Table,
} from "../../src/nftables/ruleset.ts";

/** Elements of a set line up under the first one, as nft does it. */
const ELEMENT_INDENT = "\t\t\t     ";

/** A table as text. Elements are in the order of their keys, one a line. */
export function renderTable(table: Table): string {
  const parts = [
    ...(table.comment === undefined ? [] : [`\tcomment "${table.comment}"\n`]),
    [...table.sets.map(renderSet), ...table.chains.map(renderChain)]
      .join("\n"),
  ];
  return `table ${table.family} ${table.name} {\n${parts.join("")}}\n`;
}

function renderSet(set: NftSet): string {
  const { name, key, data, interval, dynamic, elements = [] } = set;
  const lines = [
    `type ${key.join(" . ")}${
      data === undefined ? "" : ` : ${data.join(" . ")}`
    }`,
    ...(dynamic === undefined ? [] : [`size ${dynamic.size}`]),
    ...(interval === true ? ["flags interval"] : []),
    ...(dynamic === undefined
      ? []
      : dynamic.timeoutMs === undefined
      ? ["flags dynamic"]
      : ["flags dynamic,timeout", `timeout ${dynamic.timeoutMs / 1000}s`]),
    ...(elements.length === 0 ? [] : [
      `elements = { ${
        elements.toSorted((a, b) => compareBytes(a.key, b.key))
          .map((e) => renderElement(set, e))
          .join(`,\n${ELEMENT_INDENT}`)
      } }`,
    ]),
  ];
  return block(data === undefined ? `set ${name}` : `map ${name}`, lines);
}

/** An element as nft writes it: `tcp . 8080 comment "web" : 10.244.1.5 . 80`. */
export function renderElement(
  set: Pick<NftSet, "key" | "data">,
  { key, keyEnd, data, comment }: Element,
): string {
  const last = splitKey(set.key, keyEnd ?? key);
  const fields = splitKey(set.key, key).map((first, i) =>
    formatRange(set.key[i] ?? "mark", first, last[i] ?? first)
  );
  return fields.join(" . ") +
    (comment === undefined ? "" : ` comment "${comment}"`) +
    (data === undefined || set.data === undefined
      ? ""
      : ` : ${formatKey(set.data, data)}`);
}

function renderChain({ name, hook, rules }: Chain): string {
  return block(`chain ${name}`, [
    ...(hook === undefined ? [] : [renderHook(hook)]),
    ...rules.map(renderRule),
  ]);
}

function renderHook({ type, hook, priority, policy = "accept" }: Hook): string {
  return `type ${type} hook ${hook} priority ${
    renderPriority(hook, priority)
  }; policy ${policy};`;
}

/** A rule as nft writes it, with its comment. Expressions without text are named. */
export function renderRule({ expressions, text, comment }: Rule): string {
  return (text ?? expressions.map((e) => `[ ${Object.keys(e)} ]`).join(" ")) +
    (comment === undefined ? "" : ` comment "${comment}"`);
}

/** Named priorities (nft's `std_prios`), and the one hook that the NAT ones are for. */
const PRIORITIES: readonly {
  readonly name: string;
  readonly value: number;
  readonly hook?: Hook["hook"];
}[] = [
  { name: "raw", value: -300 },
  { name: "mangle", value: -150 },
  { name: "dstnat", value: -100, hook: "prerouting" },
  { name: "filter", value: 0 },
  { name: "security", value: 50 },
  { name: "srcnat", value: 100, hook: "postrouting" },
];

/** nft writes a priority this near to a named one as its sum. */
const NAMED_REACH = 10;

function renderPriority(hook: Hook["hook"], priority: number): string {
  const named = PRIORITIES.find(({ value }) =>
    Math.abs(priority - value) <= NAMED_REACH
  );
  if (named === undefined || (named.hook ?? hook) !== hook) {
    return `${priority}`;
  }
  const offset = priority - named.value;
  if (offset === 0) return named.name;
  return `${named.name} ${offset > 0 ? "+" : "-"} ${Math.abs(offset)}`;
}

function block(title: string, lines: readonly string[]): string {
  return `\t${title} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}\n`;
}

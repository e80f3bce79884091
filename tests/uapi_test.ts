/**
 * Attribute tables and constants against the kernel's own headers, which Debian's linux-libc-dev installs.
 *
 * A table row is named as in the header, in camel case, and a constant is exported under its name there.
 */
import { assert, assertEquals } from "@std/assert";
import { type Attrs, kernelName, type Rows } from "../src/netlink/attrs.ts";
import { attrs } from "../src/netlink/attrs.ts";
import { u8 } from "../src/netlink/codec.ts";

const HEADERS = "/usr/include/linux/";
const FILES = [
  "fib_rules.h",
  "if.h",
  "if_addr.h",
  "if_link.h",
  "inet_diag.h",
  "ip.h",
  "neighbour.h",
  "netfilter.h",
  "netfilter/nf_conntrack_common.h",
  "netfilter/nf_tables.h",
  "netfilter/nfnetlink.h",
  "netfilter/nfnetlink_conntrack.h",
  "netlink.h",
  "pkt_cls.h",
  "pkt_sched.h",
  "rtnetlink.h",
  "sock_diag.h",
  "tc_act/tc_mirred.h",
  "veth.h",
];
/** Folders whose modules may hold tables and constants of the kernel. */
const FOLDERS = ["netlink", "rtnetlink", "nftables", "conntrack", "sockdiag"];

/** What these headers have under no name, with where the number comes from. */
const WITHOUT_HEADER = new Map([
  ["AF_INET", 2], // include/linux/socket.h, not exported
  ["AF_INET6", 10],
]);

/** All numbers that a header names, by `enum` or `#define`. */
function constantsOf(source: string, known: Map<string, number>): void {
  for (
    const [, name, value] of source.matchAll(/^#define[ \t]+(\w+)[ \t]+(.+)$/gm)
  ) {
    const number = evaluate(value ?? "", known);
    if (name !== undefined && number !== undefined) known.set(name, number);
  }
  for (
    const [, block] of withoutDirectives(source).matchAll(
      /enum\s*\w*\s*\{([^}]*)\}/g,
    )
  ) {
    let next = 0;
    for (const entry of (block ?? "").split(",")) {
      const [, name, value] = /^(\w+)(?:\s*=\s*(.+))?$/s.exec(entry.trim()) ??
        [];
      if (name === undefined) continue;
      if (value !== undefined) next = evaluate(value, known) ?? NaN;
      known.set(name, next++);
    }
  }
}

/** The value of a C expression of numbers, names, `<<`, `|`, `+` and `-`. */
function evaluate(
  text: string,
  known: Map<string, number>,
): number | undefined {
  const expression = text.trim().replace(/^\((.*)\)$/s, "$1").trim();
  for (const operator of ["|", "<<", "+", "-"]) {
    const at = expression.lastIndexOf(operator);
    if (at <= 0) continue;
    const left = evaluate(expression.slice(0, at), known);
    const right = evaluate(expression.slice(at + operator.length), known);
    if (left === undefined || right === undefined) return undefined;
    if (operator === "|") return (left | right) >>> 0;
    if (operator === "<<") return (left << right) >>> 0;
    return operator === "+" ? left + right : left - right;
  }
  if (/^(0x[0-9a-f]+|\d+)U?L?$/i.test(expression)) {
    return Number(expression.replace(/[UL]+$/i, ""));
  }
  return known.get(expression);
}

/** A header without comments. */
function sourceOf(file: string): string {
  try {
    return Deno.readTextFileSync(HEADERS + file)
      .replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Deno.errors.NotFound(
      `${HEADERS}${file} is missing: install the kernel's headers (Debian: linux-libc-dev)`,
    );
  }
}

const withoutDirectives = (source: string) => source.replace(/^\s*#.*$/gm, "");

function readHeaders(): ReadonlyMap<string, number> {
  const known = new Map<string, number>();
  for (const file of FILES) constantsOf(sourceOf(file), known);
  return new Map([...known, ...WITHOUT_HEADER]);
}

/** `struct` members as codecs would be declared: in order, arrays and inner structs taken apart. */
function layoutOf(name: string): string[] | undefined {
  const types: Record<string, string> = {
    "unsigned char": "u8",
    "__u8": "u8",
    "__u16": "u16",
    "unsigned short": "u16",
    "__be16": "be16",
    "__u32": "u32",
    "unsigned": "u32",
    "unsigned int": "u32",
    // Addresses, which are bytes to everybody.
    "__be32": "u32",
    "__s32": "i32",
    "int": "i32",
  };
  for (const file of FILES) {
    const source = withoutDirectives(sourceOf(file));
    const [, members] =
      new RegExp(`struct ${name}\\s*\\{([^}]*)\\}`).exec(source) ?? [];
    if (members === undefined) continue;
    return members.split(";").map((member) => member.trim()).filter(Boolean)
      .flatMap((member) => {
        const [, type = "", length = "1"] =
          /^(.+?)\s+\w+\s*(?:\[(\d+)\])?$/.exec(member) ?? [];
        const one = type.startsWith("struct ")
          ? layoutOf(type.slice("struct ".length)) ?? [type]
          : [types[type] ?? type];
        return Array(Number(length)).fill(one).flat();
      });
  }
}

/** The fixed header of a message, if the value has one. */
function structOf(
  value: unknown,
): { type: string; layout: string[] } | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("header" in value) return structOf(value.header);
  return "layout" in value
    ? value as { type: string; layout: string[] }
    : undefined;
}

let headers: ReadonlyMap<string, number> | undefined;
const header = (name: string) => (headers ??= readHeaders()).get(name);

type Found = {
  readonly where: string;
  readonly name: string;
  readonly value: unknown;
};

/** What the modules of the folders export, with what plain objects among it hold. */
async function* exports(): AsyncGenerator<Found> {
  for (const folder of FOLDERS) {
    const directory = new URL(`../src/${folder}/`, import.meta.url);
    for (const { name } of [...Deno.readDirSync(directory)]) {
      if (!name.endsWith(".ts")) continue;
      const module = await import(new URL(name, directory).href);
      yield* entries(`src/${folder}/${name}`, module);
    }
  }
}

function* entries(where: string, holder: object): Generator<Found> {
  for (const [name, value] of Object.entries(holder)) {
    yield { where, name, value };
    const plain = typeof value === "object" && value !== null &&
      !isTable(value) &&
      Object.getPrototypeOf(value) === Object.prototype;
    if (plain) yield* entries(`${where} ${name}`, value);
  }
}

function isTable(value: unknown): value is Attrs<Rows> {
  return typeof value === "object" && value !== null && "rows" in value &&
    "prefix" in value;
}

/** What is wrong with a table, a line each. */
function wrongRows(table: Attrs<Rows>): string[] {
  return Object.entries(table.rows).flatMap(([field, [id]]) => {
    const name = kernelName(table.prefix, field);
    const number = header(name);
    return number === id ? [] : [`${name}: table ${id}, header ${number}`];
  });
}

Deno.test("every row of every attribute table has the number of its header", async () => {
  const wrong: string[] = [];
  const prefixes = new Set<string>();
  for await (const { where, name, value } of exports()) {
    if (!isTable(value)) continue;
    prefixes.add(value.prefix);
    wrong.push(...wrongRows(value).map((line) => `${where} ${name}: ${line}`));
  }
  assertEquals(wrong, []);
  // The search has found what there is.
  for (
    const prefix of [
      "IFLA_",
      "IFA_",
      "RTA_",
      "NDA_",
      "VETH_INFO_",
      "NFTA_RULE_",
    ]
  ) {
    assert(prefixes.has(prefix), `no table ${prefix} among ${[...prefixes]}`);
  }
});

Deno.test("every fixed header has the layout of its struct", async () => {
  const checked = new Set<string>();
  for await (const { value } of exports()) {
    const struct = structOf(value);
    if (struct === undefined || checked.has(struct.type)) continue;
    checked.add(struct.type);
    assertEquals(struct.layout, layoutOf(struct.type), struct.type);
  }
  for (const name of ["ifinfomsg", "ifaddrmsg", "rtmsg", "ndmsg", "nfgenmsg"]) {
    assert(checked.has(name), `no struct ${name} among ${[...checked]}`);
  }
});

Deno.test("every exported constant that a header names has the header's value", async () => {
  const wrong: string[] = [];
  const checked = new Set<string>();
  for await (const { where, name, value } of exports()) {
    if (typeof value !== "number" || !/^[A-Z][A-Z0-9_]+$/.test(name)) continue;
    const number = header(name);
    if (number === undefined) continue;
    checked.add(name);
    if (number !== value) {
      wrong.push(`${where} ${name}: ${value}, header ${number}`);
    }
  }
  assertEquals(wrong, []);
  for (
    const name of ["RTM_NEWLINK", "NLM_F_CREATE", "IFF_UP", "NUD_PERMANENT"]
  ) {
    assert(checked.has(name), `${name} was not checked`);
  }
});

Deno.test("src/rtnetlink/constants.ts has no name that no header has", async () => {
  const constants = await import("../src/rtnetlink/constants.ts");
  assertEquals(
    Object.keys(constants).filter((name) => header(name) === undefined),
    [],
  );
});

Deno.test("the comparison with the headers finds a wrong number and a wrong name", () => {
  const table = attrs("IFLA_", {
    mtu: [5, u8],
    nosuch: [9, u8],
    ifname: [3, u8],
  });
  assertEquals(wrongRows(table as Attrs<Rows>), [
    "IFLA_MTU: table 5, header 4",
    "IFLA_NOSUCH: table 9, header undefined",
  ]);
});

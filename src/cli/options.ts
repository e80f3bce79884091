/**
 * Option tables: one declaration gives the parser, the types, the help, the completions and "did you mean".
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { didYouMean, UsageError } from "./usage.ts";

/** One option of a command; its long name is its key in the {@linkcode OptionTable}. */
export interface Option {
  /** The one-letter form. */
  readonly short?: string;
  /** What stands for the value in the help. An option without one is a switch. */
  readonly value?: string;
  /** The option may be given several times. */
  readonly repeatable?: true;
  /** The values there are, when they can be listed. */
  readonly choices?: readonly string[];
  /** The library's name of what this option sets, so that the library's complaints can name the option. */
  readonly field?: string;
  /** One sentence for the help. */
  readonly help: string;
}

/** The options of a command by long name. */
export type OptionTable = Readonly<Record<string, Option>>;

/** What parsing makes of a table: switches are booleans, repeatable options arrays, other options maybe strings. */
export type OptionValues<T extends OptionTable> = string extends keyof T
  ? { readonly [name: string]: unknown }
  : {
    readonly [K in keyof T]: T[K] extends { readonly value: string }
      ? T[K] extends { readonly repeatable: true } ? readonly string[]
      : string | undefined
      : boolean;
  };

/** Options that every command has, before or after the command's name. */
export const globalOptions = {
  "state-dir": {
    value: "DIR",
    help: "Where podnet keeps its records (default: /run/podnet)",
  },
  "node": {
    value: "NAME",
    help: "The node to act on (default: the host name)",
  },
  "netns": {
    value: "PATH|NAME|PID",
    help:
      "The node's network namespace, by path, name of ip netns or process id (default: the one podnet runs in)",
  },
  "debug": { help: "Also print where an error comes from" },
  "help": { short: "h", help: "Print help and do nothing else" },
} as const satisfies OptionTable;

/** The values of {@linkcode globalOptions}. */
export type GlobalValues = OptionValues<typeof globalOptions>;

/** The option of the commands that print results. */
export const outputOption = {
  "output": {
    short: "o",
    value: "FORMAT",
    choices: ["table", "json"],
    help: "table (default) or json",
  },
} as const satisfies OptionTable;

/** The option of the commands that name a sandbox. */
export const namespaceOption = {
  "namespace": {
    value: "NS",
    field: "namespace",
    help: 'The namespace of the sandbox name (default: "default")',
  },
} as const satisfies OptionTable;

/** What a command line says. */
export interface ParsedArguments<T extends OptionTable> {
  /** The command's own options and {@linkcode globalOptions}. */
  readonly table: OptionTable;
  /** The values of the command's own options. */
  readonly options: OptionValues<T>;
  /** The values of {@linkcode globalOptions}. */
  readonly global: GlobalValues;
  /** The arguments that are no options. */
  readonly operands: readonly string[];
  /** What follows `--`; undefined without `--`. */
  readonly afterDashes: readonly string[] | undefined;
}

/**
 * Reads `args` by a command's own table and {@linkcode globalOptions}.
 *
 * @param command for messages: `podnet create`
 * @throws {UsageError} for an unknown option, a missing value or a value that is none of the choices
 */
export function parseOptions<T extends OptionTable>(
  own: T,
  args: readonly string[],
  command: string,
): ParsedArguments<T> {
  const table: OptionTable = { ...own, ...globalOptions };
  const names = Object.keys(table);
  const withValue = names.filter((n) => table[n]?.value !== undefined);
  const short: Record<string, string> = {};
  for (const [name, option] of Object.entries(table)) {
    if (option.short !== undefined) short[option.short] = name;
  }
  const parsed: Readonly<Record<string, unknown>> = parseArgs(
    spellOut(table, args),
    {
      string: [...withValue, "_"],
      boolean: names.filter((n) => table[n]?.value === undefined),
      collect: names.filter((n) => table[n]?.repeatable),
      alias: short,
      "--": true,
      unknown(arg: string, key?: string) {
        if (key === undefined) return true;
        throw unknownOption(
          table,
          arg.startsWith("--") ? arg : `-${key}`,
          command,
        );
      },
    },
  );
  for (const name of withValue) checkValues(table, name, parsed[name]);
  const pick = (names: OptionTable) =>
    Object.fromEntries(Object.keys(names).map((name) => [name, parsed[name]]));
  return {
    table,
    // Sound by construction: parseArgs was told which names are strings, switches and lists.
    options: pick(own) as OptionValues<T>,
    global: pick(globalOptions) as GlobalValues,
    operands: strings(parsed._),
    afterDashes: args.includes("--") ? strings(parsed["--"]) : undefined,
  };
}

/** The entry of `token` (`--mtu`, `--mtu=1500`, `-p`) in the table. */
export function findOption(
  table: OptionTable,
  token: string,
): { readonly name: string; readonly option: Option } | undefined {
  const [, long, letter] = /^(?:--([^=]+)(?:=.*)?|-([^-]))$/s.exec(token) ?? [];
  for (const [name, option] of Object.entries(table)) {
    if (name === long || (letter !== undefined && option.short === letter)) {
      return { name, option };
    }
  }
  return undefined;
}

/** The error for an option that the table does not have. */
function unknownOption(
  table: OptionTable,
  token: string,
  command: string,
): UsageError {
  const typed = token.replace(/=.*/s, "");
  const hint = typed.startsWith("--")
    ? didYouMean(typed, Object.keys(table).map((name) => `--${name}`))
    : "";
  return new UsageError(
    `unknown option ${quote(typed)}${hint || `; see ${command} --help`}`,
  );
}

/** `text` in quotes, control characters escaped. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/**
 * Rewrites the three spellings that parseArgs reads otherwise than getopt(3) does: a value attached to a
 * letter (`-p80:80/udp`, read as eleven letters), a switch before the word "true" (read as its value) and a
 * value that begins with a minus sign and a digit (`--mtu -1`, read as an option).
 */
function spellOut(table: OptionTable, args: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--") return [...out, ...args.slice(i)];
    const attached = /^-[^-]./s.test(arg) && findOption(table, arg.slice(0, 2));
    const found = findOption(table, arg);
    const next = args[i + 1] ?? "";
    if (attached && attached.option.value !== undefined) {
      out.push(`--${attached.name}=${arg.slice(2).replace(/^=/, "")}`);
    } else if (found === undefined) {
      out.push(arg);
    } else if (found.option.value === undefined) {
      if (arg.includes("=") && !/=(true|false)$/.test(arg)) {
        throw new UsageError(
          `--${found.name} is a switch: write --${found.name} without a value`,
        );
      }
      out.push(arg.includes("=") ? arg : `--${found.name}=true`);
    } else if (arg.endsWith("=") && arg.indexOf("=") === arg.length - 1) {
      throw missingValue(table, found.name);
    } else if (!arg.includes("=") && /^-\d/.test(next)) {
      out.push(`--${found.name}=${next}`);
      i++;
    } else {
      out.push(arg);
    }
  }
  return out;
}

function missingValue(table: OptionTable, name: string): UsageError {
  const { value, choices } = table[name] ?? {};
  return new UsageError(
    `--${name} needs a value: write --${name} ${choices?.join("|") ?? value}`,
  );
}

function checkValues(table: OptionTable, name: string, given: unknown): void {
  const choices = table[name]?.choices;
  for (const text of strings(Array.isArray(given) ? given : [given])) {
    if (text === "") throw missingValue(table, name);
    if (choices !== undefined && !choices.includes(text)) {
      throw new UsageError(
        `--${name} ${quote(text)} is unknown: write --${name} ${
          choices.join(" or ")
        }`,
      );
    }
  }
}

function strings(values: unknown): string[] {
  return Array.isArray(values)
    ? values.filter((v) => typeof v === "string")
    : [];
}

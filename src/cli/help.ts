/**
 * Help texts, made from the tables.
 *
 * @module
 */
import { type Command, usage } from "./command.ts";
import { exitCodes } from "./errors.ts";
import { globalOptions, type Option, type OptionTable } from "./options.ts";
import { summaries, summaryOf } from "./summaries.ts";

const WIDTH = 80;

/** `podnet --help`. */
export function generalHelp(): string {
  return [
    "podnet gives pods their network: a namespace, addresses, host ports.",
    "",
    "Usage: podnet COMMAND [OPTION…] [ARGUMENT…]",
    "",
    ...commandList(Object.keys(summaries)),
    "",
    "Options of every command, before or after its name:",
    ...optionLines(globalOptions),
    ...optionLines({
      "version": { help: "Print the version; without a command only" },
    }),
    "",
    "Exit codes:",
    ...exitCodes.map(([code, meaning]) => `  ${`${code}`.padEnd(4)}${meaning}`),
    "  other: run, exec: the command's own exit code, 128 + n after signal n",
    "",
    "Deno permissions: --allow-ffi for everything, --allow-run for run, exec\nand CNI plugins, --allow-net for clusters in etcd.",
    "Help for a command: podnet COMMAND --help",
  ].join("\n");
}

/** `podnet ports --help` for a word that several commands begin with. */
export function groupHelp(word: string): string {
  return [
    `Usage: podnet ${word} COMMAND`,
    "",
    ...commandList(groupMembers(word)),
    "",
    `Help for a command: podnet ${word} COMMAND --help`,
  ].join("\n");
}

/** The commands that begin with `word`: `node up`, `node show`, `node down`. */
export function groupMembers(word: string): string[] {
  return Object.keys(summaries).filter((name) => name.startsWith(`${word} `));
}

/** `podnet create --help`. */
export function commandHelp(name: string, command: Command): string {
  const others = groupMembers(name);
  return [
    `${summaryOf(name) ?? name}.`,
    "",
    `Usage: ${usage(name, command)}`,
    ...others.map((other) => `       podnet ${other} …`),
    ...section("", command.notes ?? []),
    ...section("Options:", optionLines(command.options)),
    ...section(
      "Options of every command:",
      optionLines(globalOptions),
    ),
    ...section("Examples:", command.examples.map((line) => `  ${line}`)),
    "",
    "Exit codes: podnet --help",
  ].join("\n");
}

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return title === "" ? ["", ...lines] : ["", title, ...lines];
}

function commandList(names: readonly string[]): string[] {
  const width = Math.max(...names.map((name) => name.length));
  return [
    "Commands:",
    ...names.map((name) => `  ${name.padEnd(width)}  ${summaryOf(name) ?? ""}`),
  ];
}

function optionLines(table: OptionTable): string[] {
  return Object.entries(table).flatMap(([name, option]) => [
    `  ${spelling(name, option)}`,
    ...wrap(option.help + (option.repeatable ? " (repeatable)" : ""), 8),
  ]);
}

function spelling(name: string, { short, value, choices }: Option): string {
  const argument = value === undefined ? "" : ` ${choices?.join("|") ?? value}`;
  return `${short === undefined ? "    " : `-${short}, `}--${name}${argument}`;
}

function wrap(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each) => " ".repeat(indent) + each);
}

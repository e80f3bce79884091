/**
 * Which command a command line means.
 *
 * @module
 */
import { type CommandEntry, commands } from "./commands.ts";
import { groupMembers } from "./help.ts";
import { findOption, globalOptions, quote } from "./options.ts";
import { didYouMean, UsageError } from "./usage.ts";

/** A command with its arguments, or a request for general help, for help on a group of commands or for the version. */
export type Selection =
  | {
    readonly kind: "command";
    readonly name: string;
    readonly entry: CommandEntry;
    /** The options before the command's name, then all that follows it. */
    readonly args: readonly string[];
  }
  | { readonly kind: "help"; readonly group?: string }
  | { readonly kind: "version" };

/**
 * Finds the command.
 *
 * @throws {UsageError} when there is none, or an option before its name is not one that every command has
 */
export function selectCommand(args: readonly string[]): Selection {
  const { before, word, after } = nextWord(args);
  if (word === "--version" || word === "-V") return { kind: "version" };
  if (word === undefined) {
    if (asksForHelp(before)) return { kind: "help" };
    throw new UsageError("no command: write podnet COMMAND, see podnet --help");
  }
  if (word.startsWith("-")) {
    throw new UsageError(
      `unknown option ${quote(word)} before the command${
        didYouMean(word, Object.keys(globalOptions).map((n) => `--${n}`)) ||
        "; write podnet COMMAND, then its options"
      }`,
    );
  }
  const members = groupMembers(word);
  const second = nextWord(after);
  for (
    const [name, rest] of [
      [`${word} ${second.word}`, [...second.before, ...second.after]],
      [word, after],
    ] as const
  ) {
    const entry = commands.get(name);
    if (entry !== undefined) {
      return { kind: "command", name, entry, args: [...before, ...rest] };
    }
  }
  if (members.length === 0) {
    throw new UsageError(
      `unknown command ${quote(word)}${
        didYouMean(word, new Set([...commands.keys()].map(firstWord))) ||
        "; see podnet --help"
      }`,
    );
  }
  if (asksForHelp([...before, ...after])) return { kind: "help", group: word };
  const verbs = members.map((name) => name.slice(word.length + 1));
  throw new UsageError(
    second.word === undefined
      ? `${word} what? write podnet ${word} ${verbs.join("|")}`
      : `unknown command ${quote(`${word} ${second.word}`)}${
        didYouMean(second.word, verbs) ||
        `; write podnet ${word} ${verbs.join("|")}`
      }`,
  );
}

/** The first argument that is neither an option of every command nor its value. */
function nextWord(args: readonly string[]): {
  readonly before: readonly string[];
  readonly word: string | undefined;
  readonly after: readonly string[];
} {
  let i = 0;
  for (let found; (found = findOption(globalOptions, args[i] ?? ""));) {
    const valueFollows = found.option.value !== undefined &&
      !args[i]?.includes("=");
    i += valueFollows ? 2 : 1;
  }
  return { before: args.slice(0, i), word: args[i], after: args.slice(i + 1) };
}

function firstWord(name: string): string {
  return name.split(" ")[0] ?? name;
}

function asksForHelp(args: readonly string[]): boolean {
  return args.includes("--help") || args.includes("-h");
}

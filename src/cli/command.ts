/**
 * What a command is: a table, and a function that runs it.
 *
 * @module
 */
import type { GlobalValues, OptionTable, OptionValues } from "./options.ts";
import { UsageError } from "./usage.ts";

/** What a command is given to run with. */
export interface CommandInput<T extends OptionTable> {
  /** Its own options. */
  readonly options: OptionValues<T>;
  /** The options that every command has. */
  readonly global: GlobalValues;
  /** Its arguments, as many as {@linkcode Command.operands} allows. */
  readonly operands: readonly string[];
  /** The words after `--` when the command takes a program to run, else empty. */
  readonly program: readonly string[];
  /** Tells about an error on stderr; for commands that go on after one. The result is its exit code. */
  fail(error: unknown): Promise<number>;
}

/** An argument that is no option. */
export interface Operand {
  /** Name in the help. */
  readonly name: string;
  /** What completion offers when the values cannot be listed here. */
  readonly completes?: "sandboxes" | "commands";
  /** May be left out. */
  readonly optional?: true;
  /** May be given several times; last operand only. */
  readonly repeatable?: true;
  /** The values there are, when they can be listed. */
  readonly choices?: readonly string[];
}

/** One command. */
export interface Command<T extends OptionTable = OptionTable> {
  /** Its arguments that are no options, in order. */
  readonly operands: readonly Operand[];
  /** It runs the program that follows `--`. */
  readonly runsProgram?: true;
  /** Its own options. */
  readonly options: T;
  /** What the help says below the summary; one line an entry. */
  readonly notes?: readonly string[];
  /** Command lines that work, for the help. */
  readonly examples: readonly string[];
  /** Runs it; the result is the exit code. */
  run(input: CommandInput<T>): Promise<number>;
}

/** Declares a command; the type of its input follows from its option table. */
export function defineCommand<const T extends OptionTable>(
  command: Command<T>,
): Command {
  return {
    ...command,
    // Sound because a command is run with options that were parsed by its own table.
    run: (input) =>
      command.run({ ...input, options: input.options as OptionValues<T> }),
  };
}

/** `podnet exec NAME -- COMMAND [ARG…]`: how to write a command, in one line. */
export function usage(name: string, command: Command): string {
  const operands = command.operands.map((o) => {
    const text = `${o.choices?.join("|") ?? o.name}${o.repeatable ? "…" : ""}`;
    return o.optional ? `[${text}]` : text;
  });
  return [
    "podnet",
    name,
    ...(Object.keys(command.options).length > 0 ? ["[OPTION…]"] : []),
    ...operands,
    ...(command.runsProgram ? ["-- COMMAND [ARG…]"] : []),
  ].join(" ");
}

/**
 * Sorts what is no option into operands and the program to run.
 *
 * @throws {UsageError} for a missing, surplus or unknown operand and for a missing program
 */
export function sortOperands(
  name: string,
  command: Command,
  given: readonly string[],
  afterDashes: readonly string[] | undefined,
): {
  readonly operands: readonly string[];
  readonly program: readonly string[];
} {
  const write = `write ${usage(name, command)}`;
  // Without a program to run, -- only says that what follows are no options (POSIX utility guideline 10).
  const operands = command.runsProgram
    ? given
    : [...given, ...afterDashes ?? []];
  const program = command.runsProgram ? afterDashes ?? [] : [];
  const missing = command.operands.find((o, i) =>
    !o.optional && i >= operands.length
  );
  if (missing !== undefined) {
    throw new UsageError(`${missing.name} is missing: ${write}`);
  }
  const surplus = operands[command.operands.length];
  if (surplus !== undefined && !command.operands.at(-1)?.repeatable) {
    throw new UsageError(
      `unexpected argument ${JSON.stringify(surplus)}: ${write}`,
    );
  }
  for (const [i, { name, choices }] of command.operands.entries()) {
    const value = operands[i];
    if (value !== undefined && choices?.includes(value) === false) {
      throw new UsageError(
        `${JSON.stringify(value)} is no ${name}: ${write}`,
      );
    }
  }
  if (command.runsProgram && program.length === 0) {
    throw new UsageError(`no command to run: ${write}`);
  }
  return { operands, program };
}

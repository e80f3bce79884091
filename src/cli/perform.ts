/**
 * Runs a command, and turns errors into lines and exit codes.
 *
 * @module
 */
import { type Command, sortOperands } from "./command.ts";
import { causeChain, describe, type GivenOptions } from "./errors.ts";
import { commandHelp } from "./help.ts";
import { parseOptions } from "./options.ts";
import { print, printFailure } from "./output.ts";

/** The command that a command line means. */
export interface Chosen {
  readonly name: string;
  /** Loads it. */
  load(): Promise<Command>;
  /** The command line without its name. */
  readonly args: readonly string[];
}

/**
 * Runs a command line; the result is the exit code.
 *
 * @param choose says which command it means; or prints what else is asked for, and gives back the exit code
 */
export async function perform(
  args: readonly string[],
  choose: () => Chosen | Promise<number>,
): Promise<number> {
  let given: GivenOptions | undefined;
  async function fail(error: unknown): Promise<number> {
    const { lines, exitCode } = await describe(error, given);
    for (const line of lines) printFailure(line);
    if (wantsDebug(args)) causeChain(error).forEach(printFailure);
    return exitCode;
  }
  try {
    const chosen = await choose();
    if (typeof chosen === "number") return chosen;
    const { name } = chosen;
    const command = await chosen.load();
    const parsed = parseOptions(
      command.options,
      chosen.args,
      `podnet ${name}`,
    );
    const { options, global, afterDashes } = parsed;
    given = { table: parsed.table, values: { ...options, ...global } };
    if (global.help) {
      print(commandHelp(name, command));
      return 0;
    }
    const words = sortOperands(name, command, parsed.operands, afterDashes);
    return await command.run({ options, global, ...words, fail });
  } catch (error) {
    return await fail(error);
  }
}

/** Looked up by hand: it has to work for a command line that cannot be parsed. */
function wantsDebug(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end === -1 ? args.length : end).includes("--debug");
}

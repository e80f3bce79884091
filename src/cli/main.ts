/**
 * The `podnet` command: finds the command, reads its arguments, runs it, turns errors into lines and exit codes.
 *
 * ```sh
 * deno install --global --allow-ffi --allow-run --name podnet jsr:@podnet/podnet/cli
 * ```
 *
 * From a checkout, as files that need nothing else and start in half the time:
 *
 * ```sh
 * deno bundle --code-splitting --outdir /usr/local/lib/podnet src/cli/main.ts src/cli/cni_plugin.ts
 * deno install --global --allow-ffi --allow-run --v8-flags=--no-lazy,--min-semi-space-size=16 --name podnet /usr/local/lib/podnet/main.js
 * ```
 *
 * With `--no-lazy` the runtime's cache holds all of the code compiled, not only what runs while modules are loaded.
 *
 * @module
 */
import { sortOperands } from "./command.ts";
import { causeChain, describe, type GivenOptions } from "./errors.ts";
import { commandHelp, generalHelp, groupHelp } from "./help.ts";
import { parseOptions } from "./options.ts";
import { print, printFailure } from "./output.ts";
import { selectCommand } from "./select.ts";

/** Runs a command line; the result is the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let given: GivenOptions | undefined;
  async function fail(error: unknown): Promise<number> {
    const { lines, exitCode } = await describe(error, given);
    for (const line of lines) printFailure(line);
    if (wantsDebug(args)) causeChain(error).forEach(printFailure);
    return exitCode;
  }
  try {
    const selected = selectCommand(args);
    if (selected.kind === "version") {
      print(`podnet ${await version()}`);
      return 0;
    }
    if (selected.kind === "help") {
      const { group } = selected;
      print(group === undefined ? generalHelp() : groupHelp(group));
      return 0;
    }
    const { name, entry } = selected;
    const command = await entry.load();
    const parsed = parseOptions(
      command.options,
      selected.args,
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

async function version(): Promise<string> {
  const { default: config } = await import("../../deno.json", {
    with: { type: "json" },
  });
  return config.version;
}

if (import.meta.main) {
  // Where there is a Buffer, cbor-x uses it, and then the runtime loads its Node modules: 4 ms.
  Reflect.deleteProperty(globalThis, "Buffer");
  Deno.exit(await main(Deno.args));
}

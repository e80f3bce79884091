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
 * deno task podnet install
 * ```
 *
 * @module
 */
import { generalHelp, groupHelp } from "./help.ts";
import { print } from "./output.ts";
import { type Chosen, perform } from "./perform.ts";
import { runProgram } from "./program.ts";
import { selectCommand } from "./select.ts";

/** Runs a command line; the result is the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await perform(args, () => choose(args));
}

function choose(args: readonly string[]): Chosen | Promise<number> {
  const selected = selectCommand(args);
  if (selected.kind === "command") {
    const { name, entry, args } = selected;
    return { name, args, load: () => entry.load() };
  }
  return tell(selected);
}

async function tell(
  selected: Exclude<ReturnType<typeof selectCommand>, { kind: "command" }>,
): Promise<number> {
  if (selected.kind === "version") {
    print(`podnet ${await version()}`);
  } else {
    const { group } = selected;
    print(group === undefined ? generalHelp() : groupHelp(group));
  }
  return 0;
}

async function version(): Promise<string> {
  const { default: config } = await import("../../deno.json", {
    with: { type: "json" },
  });
  return config.version;
}

if (import.meta.main) await runProgram(() => main(Deno.args));

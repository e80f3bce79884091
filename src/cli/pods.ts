/**
 * The commands that scripts run for each pod, as a program of their own: the runtime looks at every file that a program may
 * ever load before it runs the first line, and all commands are 60 files. The launcher starts this one for these commands.
 *
 * @module
 */
import * as commands from "./commands/pods.ts";
import { perform } from "./perform.ts";
import { runProgram } from "./program.ts";
import { POD_COMMANDS } from "./summaries.ts";

/** Runs `create …` or `rm …`; the result is the exit code. */
async function pods([name = "", ...args]: readonly string[]): Promise<number> {
  const known = POD_COMMANDS.find((known) => known === name);
  if (known === undefined) throw new RangeError(`no command ${name} here`);
  const code = await perform(args, () => ({
    name,
    args,
    load: () => Promise.resolve(commands[known]),
  }));
  // Asked for by an installation, so that the runtime's cache has all of the code, also what a node's first pod needs.
  if (args.includes("--help")) {
    const { loadUpkeep } = await import("./library.ts");
    await loadUpkeep();
  }
  return code;
}

if (import.meta.main) await runProgram(() => pods(Deno.args));

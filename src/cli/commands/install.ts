/**
 * `podnet install` and `podnet uninstall`: the command itself.
 *
 * @module
 */
import type { ProgramKind, ProgramPaths } from "../../install/program.ts";
import { defineCommand } from "../command.ts";
import type { OptionTable, OptionValues } from "../options.ts";
import { print } from "../output.ts";
import {
  denoOption,
  denoPath,
  directoryOf,
  INSTALLED,
  libraryOptions,
  libraryPaths,
} from "../program_options.ts";
import { POD_COMMANDS } from "../summaries.ts";

/** The command as a program that is installed. */
const COMMAND: ProgramKind = {
  title: "podnet",
  command: "podnet",
  permissions: ["--allow-run", "--allow-net"],
  words: [],
  shortcut: {
    words: POD_COMMANDS,
    entry: "pods.js",
    permissions: ["--allow-run"],
  },
  isOwnConfiguration: () => false,
};

const directories = {
  "bin-dir": {
    value: "DIR",
    help: "Where the command goes (default: /usr/local/bin)",
  },
  ...libraryOptions("podnet"),
} as const satisfies OptionTable;

/** Installs the command. */
export const install = defineCommand({
  operands: [],
  options: { ...denoOption, ...directories },
  notes: [
    INSTALLED,
    "podnet create and podnet rm become programs of their own, which start in less time than all commands together.",
  ],
  examples: ["podnet install", "podnet install --bin-dir /opt/podnet/bin"],
  async run({ options }) {
    const { install } = await import("../program_setup.ts");
    await install(COMMAND, commandPaths(options), {
      // The plugin too: what is installed can install it.
      entries: ["main", "pods", "cni_plugin"],
      deno: denoPath(options),
      trial: [POD_COMMANDS[0], "--help"],
    });
    return 0;
  },
});

/** Takes the command away. */
export const uninstall = defineCommand({
  operands: [],
  options: directories,
  notes: ["Prints what it removed. Nodes and sandboxes stay."],
  examples: ["podnet uninstall", "podnet uninstall --bin-dir /opt/podnet/bin"],
  async run({ options }) {
    const { uninstallProgram } = await import("../../install/program.ts");
    const removed = uninstallProgram(COMMAND, commandPaths(options));
    for (const path of removed) print(path);
    return 0;
  },
});

function commandPaths(
  options: OptionValues<typeof directories>,
): ProgramPaths {
  return {
    launcher: `${directoryOf(options, "bin-dir", "/usr/local/bin")}/podnet`,
    ...libraryPaths(options, "podnet"),
  };
}

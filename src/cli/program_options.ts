/**
 * What the commands that install and uninstall a program have in common.
 *
 * @module
 */
import type { NodeOptions } from "../../mod.ts";
import type { ProgramKind, ProgramPaths } from "../install/program.ts";
import { type Command, defineCommand } from "./command.ts";
import type { OptionTable, OptionValues } from "./options.ts";
import { print } from "./output.ts";
import { nodeSelection } from "./session.ts";
import { UsageError } from "./usage.ts";

/** Where the files of a program go that its other options do not name. */
export function libraryOptions<const D extends string>(directory: D) {
  return {
    "lib-dir": {
      value: "DIR",
      help: `Where its modules go (default: /usr/local/lib/${directory})`,
    },
    "cache-dir": {
      value: "DIR",
      help:
        `Where Deno keeps its code compiled (default: /var/cache/${directory})`,
    },
  } as const satisfies OptionTable;
}

/** What the commands that install a program print. */
export const INSTALLED =
  "Prints the files that it wrote: nothing when all of them are as they should be.";

/** The Deno that is to run a program. */
export const denoOption = {
  "deno": {
    value: "PATH",
    help: "The Deno that runs it (default: the one that runs podnet)",
  },
} as const satisfies OptionTable;

/** The paths that {@linkcode libraryOptions} mean. */
export function libraryPaths(
  options: OptionValues<ReturnType<typeof libraryOptions>>,
  directory: string,
): Pick<ProgramPaths, "library" | "cache"> {
  return {
    library: directoryOf(options, "lib-dir", `/usr/local/lib/${directory}`),
    cache: directoryOf(options, "cache-dir", `/var/cache/${directory}`),
  };
}

/** The Deno that {@linkcode denoOption} means. */
export function denoPath(options: OptionValues<typeof denoOption>): string {
  return options.deno === undefined
    ? Deno.execPath()
    : absolute("deno", options.deno);
}

/** The directory that an option means. */
export function directoryOf<K extends string>(
  options: { readonly [name in K]: string | undefined },
  name: K,
  otherwise: string,
): string {
  return absolute(name, options[name] ?? otherwise).replace(/(?<=.)\/+$/, "");
}

/** Runtimes start programs in directories of their own. */
function absolute(option: string, path: string): string {
  if (path.startsWith("/")) return path;
  throw new UsageError(
    `--${option} ${
      JSON.stringify(path)
    } is no absolute path: write one that begins with "/"`,
  );
}

/** What the command `uninstall` of a program has to know. */
export interface Uninstalling<D extends OptionTable> {
  /** What it is to people, such as `the plugin`. */
  readonly program: string;
  /** Says where its files are. */
  readonly directories: D;
  /** The paths that the directories mean. */
  paths(options: OptionValues<D>): ProgramPaths;
  /** See {@linkcode Command.examples}. */
  readonly examples: readonly string[];
  /** Loads what it is, and how its sandboxes are known by their labels. */
  load(): Promise<{
    readonly kind: ProgramKind;
    readonly isIts: (labels: Readonly<Record<string, string>>) => boolean;
  }>;
}

/** Declares the command that takes a program away. */
export function defineUninstall<const D extends OptionTable>(
  { program, directories, paths, examples, load }: Uninstalling<D>,
): Command {
  return defineCommand({
    operands: [],
    options: {
      "force": {
        short: "f",
        help: `Also while containers have their network from ${program}`,
      },
      ...directories,
    } as OptionTable,
    notes: [
      "Prints what it removed. The node stays; podnet node down takes it away.",
    ],
    examples,
    async run({ options, global }) {
      const { configuredStateDir, uninstallProgram } = await import(
        "../install/program.ts"
      );
      const { kind, isIts } = await load();
      // Sound because the command was given these options and one more.
      const given = paths(options as OptionValues<D>);
      if (!options["force"]) {
        const stateDir = configuredStateDir(kind, given);
        const selections = [
          nodeSelection(global),
          ...stateDir === undefined ? [] : [{ stateDir }],
        ];
        await refuseWhileUsed(selections, program, isIts);
      }
      for (const path of uninstallProgram(kind, given)) print(path);
      return 0;
    },
  });
}

/**
 * Keeps a program from going while it is needed to take networks away. It is the same program for all nodes, so those of the
 * state directory count, whichever is selected, and those of the one that the installed configuration names.
 *
 * @param program what it is to people
 * @param isIts whether a sandbox of these labels was made by it
 * @throws {UsageError}
 */
async function refuseWhileUsed(
  selections: readonly Pick<NodeOptions, "name" | "stateDir">[],
  program: string,
  isIts: (labels: Readonly<Record<string, string>>) => boolean,
): Promise<void> {
  const { recordedSandboxes } = await import("./library.ts");
  for (const selection of selections) {
    const its = recordedSandboxes(selection).filter(({ labels }) =>
      isIts(labels)
    );
    if (its.length === 0) continue;
    const nodes = [...new Set(its.map(({ node }) => node))];
    throw new UsageError(
      `${its.length} ${
        its.length === 1 ? "container has its" : "containers have their"
      } network from ${program}, on node ${nodes.join(" and ")}: remove ${
        its.length === 1 ? "it" : "them"
      } first, or uninstall with --force`,
    );
  }
}

/**
 * Installs a program of podnet from wherever this command comes: from a checkout, whose modules are bundled, or from a
 * bundle, whose modules are taken as they are.
 *
 * @module
 */
import { makeTempDirectory } from "../../ffi/file.ts";
import { readModules } from "../install/modules.ts";
import {
  installProgram,
  type ProgramFiles,
  type ProgramKind,
  type ProgramPaths,
} from "../install/program.ts";
import { removeDirectory } from "../state/directory.ts";

/** What is to be installed, but for its modules. */
export interface ProgramChoice extends Omit<ProgramFiles, "entry" | "modules"> {
  /** The name of the first module, in a checkout with `.ts` behind it. */
  readonly module: string;
  /** What it is started with once, to load all of it and do nothing. */
  readonly trial: readonly string[];
}

/**
 * Installs a program, and starts it once, which makes Deno compile all of it and keep that in the cache.
 *
 * @returns the files that were written
 * @throws {Error} when it does not run, with what it said
 */
export async function install(
  kind: ProgramKind,
  paths: ProgramPaths,
  { module, trial, ...files }: ProgramChoice,
): Promise<string[]> {
  const entry = `${module}.js`;
  const modules = await buildModules(module, entry);
  const written = installProgram(kind, paths, { ...files, entry, modules });
  // As runtimes start it, with hardly any environment.
  await output(paths.launcher, trial, { clearEnv: true });
  return written;
}

/**
 * Builds a program's modules.
 *
 * Split, so that a program loads nothing of what it is not asked for. Not minified: that moves the value of a `using` variable
 * to the one place where it is used, where nobody disposes of it.
 */
async function buildModules(
  module: string,
  entry: string,
): Promise<ReadonlyMap<string, string>> {
  const here = new URL(".", import.meta.url).pathname;
  if (!import.meta.url.endsWith(".ts")) return readModules(here, entry);
  const directory = makeTempDirectory("/tmp/podnet-install-");
  try {
    await output(Deno.execPath(), [
      "bundle",
      "--quiet",
      // It would look for one from the working directory on.
      `--config=${here}../../deno.json`,
      "--code-splitting",
      "--outdir",
      directory,
      `${here}${module}.ts`,
    ]);
    return readModules(directory, entry);
  } finally {
    removeDirectory(directory);
  }
}

async function output(
  program: string,
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    ...options,
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return;
  const decoder = new TextDecoder();
  throw new Error(
    `${program} failed: ${decoder.decode(stderr)}${decoder.decode(stdout)}`
      .trim(),
  );
}

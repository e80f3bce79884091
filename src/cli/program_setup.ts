/**
 * Installs a program of podnet from wherever this command comes: from a checkout, whose modules are bundled, or from a
 * bundle, whose modules are taken as they are.
 *
 * @module
 */
import { makeTempDirectory } from "../../ffi/file.ts";
import { readModules } from "../install/modules.ts";
import {
  InstallationError,
  installProgram,
  type ProgramFiles,
  type ProgramKind,
  type ProgramPaths,
} from "../install/program.ts";
import { denoTrouble } from "../install/reach.ts";
import { removeDirectory } from "../state/directory.ts";
import { print, printFailure } from "./output.ts";

/** What is to be installed, but for its modules. */
export interface ProgramChoice extends Omit<ProgramFiles, "entry" | "modules"> {
  /** The names of its first modules, in a checkout with `.ts` behind them; it begins with the first. */
  readonly entries: readonly [string, ...string[]];
  /** What it is started with once, to load all of it and do nothing. */
  readonly trial: readonly string[];
}

/**
 * Installs a program, and starts it once before others can, which makes Deno compile all of it and keep that in the cache.
 * Prints the files that were written, and warns of a Deno that does not run for everybody, or may go.
 *
 * @throws {InstallationError} when it does not run, with what it said; what there was stays then
 */
export async function install(
  kind: ProgramKind,
  paths: ProgramPaths,
  { entries, trial, ...files }: ProgramChoice,
): Promise<void> {
  const entry = `${entries[0]}.js`;
  const modules = await buildModules(entries);
  const tryOut = async (script: string) => {
    try {
      // As runtimes start it, with hardly any environment.
      const words = ["-c", script, paths.launcher, ...trial];
      await output("/bin/sh", words, { clearEnv: true });
    } catch (error) {
      throw new InstallationError(
        `${kind.title} does not run with ${files.deno}, so nothing was changed: ${
          (error as Error).message
        }`,
      );
    }
    await settleCache(files.deno, paths.cache);
  };
  const written = await installProgram(
    kind,
    paths,
    { ...files, entry, modules },
    tryOut,
  );
  for (const path of written) print(path);
  const trouble = denoTrouble({ ...paths, ...files });
  if (trouble !== undefined) printFailure(trouble);
}

/**
 * Takes what is compiled of versions that are gone, 2 MB each, out of the cache, and has its databases written back their logs, which Deno leaves behind when it ends: every start would read the whole
 * log, check it, and then read compiled code from it page by page, 1.6 ms of 41.
 */
async function settleCache(deno: string, cache: string): Promise<void> {
  const options = ["--quiet", "--ext=js", "--no-config", "--no-lock"];
  try {
    await output(deno, ["eval", ...options, SETTLE, cache], {
      clearEnv: true,
      env: { DENO_DIR: cache, DENO_NO_UPDATE_CHECK: "1" },
    });
  } catch {
    // The program runs all the same.
  }
}

/** A database is written back as a whole, whoever else has it open. */
const SETTLE = `
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
const [cache] = Deno.args;
for (const { name } of Deno.readDirSync(cache)) {
  if (!name.endsWith("-wal")) continue;
  const database = new DatabaseSync(cache + "/" + name.slice(0, -4));
  database.exec("PRAGMA busy_timeout = 1000");
  const tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%specifier%'";
  for (const { name } of database.prepare(tables).all()) {
    const remove = database.prepare("DELETE FROM " + name + " WHERE specifier = ?");
    for (const { specifier } of database.prepare("SELECT specifier FROM " + name).all()) {
      if (specifier.startsWith("file:") && !existsSync(new URL(specifier))) remove.run(specifier);
    }
  }
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}`;

/**
 * Builds a program's modules.
 *
 * Split, so that a program loads nothing of what it is not asked for; and each program by itself, since what two of them share
 * would become files of their own, 60 µs each at every start. Not minified: that moves the value of a `using` variable to the one
 * place where it is used, where nobody disposes of it.
 */
async function buildModules(
  entries: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const here = new URL(".", import.meta.url).pathname;
  if (!import.meta.url.endsWith(".ts")) return readAll(here, entries);
  const directory = makeTempDirectory("/tmp/podnet-install-");
  try {
    for (const entry of entries) {
      await output(Deno.execPath(), [
        "bundle",
        "--quiet",
        // It would look for one from the working directory on.
        `--config=${here}../../deno.json`,
        "--code-splitting",
        "--outdir",
        directory,
        `${here}${entry}.ts`,
      ]);
    }
    return readAll(directory, entries);
  } finally {
    removeDirectory(directory);
  }
}

/** Modules of several programs beside each other: their names tell what is in them. */
function readAll(
  directory: string,
  entries: readonly string[],
): ReadonlyMap<string, string> {
  return new Map(
    entries.flatMap((entry) => [...readModules(directory, `${entry}.js`)]),
  );
}

async function output(
  program: string,
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<void> {
  const { success, code, stdout, stderr } = await new Deno.Command(program, {
    ...options,
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return;
  const said = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes))
    .join("").trim();
  throw new Error(`${program} ended with ${code}${said && `: ${said}`}`);
}

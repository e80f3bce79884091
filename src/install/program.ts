/**
 * A program that others start, as files on a machine: modules, launcher, and a configuration that makes others start it,
 * put in their places one after the other, so that whoever looks meanwhile finds the program as it was or as it will be.
 *
 * Launchers in several directories may lead to one library. Each version in it has a note of every launcher that leads to
 * it, or did, and of the version that this one led to before: that stays as well, for those who have begun to start it, and
 * for what runs and loads the rest of its modules later. Whether a note counts, the launcher says.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { Errno, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import {
  lstat,
  mkdir,
  readDirectory,
  readTextFile,
  rename,
} from "../../ffi/file.ts";
import { removeDirectory } from "../state/directory.ts";
import {
  refusal,
  removeFile,
  removeIfEmpty,
  replaceFile,
  UNFINISHED,
} from "../state/store.ts";
import { compareText } from "../text.ts";
import { isLauncher, type LauncherKind, launcherText } from "./launcher.ts";

/** What is installed, whatever its version. */
export interface ProgramKind extends LauncherKind {
  /** Whether a configuration of this text is the program's own, and may be replaced and removed. */
  readonly isOwnConfiguration: (text: string) => boolean;
  /** The state directory that a configuration of the program's own names. */
  readonly stateDirOf?: (text: string) => string | undefined;
}

/** Where the program's files are; all of them absolute paths. */
export interface ProgramPaths {
  /** The executable. */
  readonly launcher: string;
  /** The file that makes others start it; missing when nobody reads one. */
  readonly configuration?: string;
  /** The directory of the modules, a directory of its own for each version of them. */
  readonly library: string;
  /** Deno's cache. */
  readonly cache: string;
}

/** What is to be installed. */
export interface ProgramFiles {
  /** The Deno to run them. */
  readonly deno: string;
  /** Name of the first module. */
  readonly entry: string;
  /** Modules by name. */
  readonly modules: ReadonlyMap<string, string>;
  /** Makes the configuration's text, of that which is there; for a path of it only. */
  readonly configuration?: (before: string | undefined) => string;
}

/** Something that is in the way of an installation. The message says what to do. */
export class InstallationError extends Error {
  /** `"InstallationError"`. */
  override readonly name = "InstallationError";
}

/**
 * Installs a program: modules first, then the launcher, which leads to them, then the configuration, which makes others
 * start it. Installing it again changes what differs; modules of other versions go when no launcher leads to them any more,
 * nor did before it was last led to others.
 *
 * @param trial runs a script that does what the launcher will, and throws when it does not run; what there was stays then
 * @returns the files that were written
 * @throws {InstallationError} when a file of somebody else's has the name of one, or a file system takes none
 * @throws {SyscallError}
 */
export async function installProgram(
  kind: ProgramKind,
  paths: ProgramPaths,
  files: ProgramFiles,
  trial: (script: string) => Promise<void>,
): Promise<string[]> {
  try {
    return await putInPlace(kind, paths, files, trial);
  } catch (error) {
    throw explainPlace(error);
  }
}

async function putInPlace(
  kind: ProgramKind,
  paths: ProgramPaths,
  { deno, entry, modules, configuration }: ProgramFiles,
  trial: (script: string) => Promise<void>,
): Promise<string[]> {
  refuseForeign(kind, paths);
  const { launcher, library, cache } = paths;
  const version = digestOf(modules);
  const directory = `${library}/${version}`;
  const text = launcherText(kind, {
    deno,
    entry: `${directory}/${entry}`,
    cache,
  });
  const name = `${digestOf(new Map([["launcher", launcher]]))}${NOTE}`;
  const before = versionLedTo(launcher, library);
  const note = before === version
    ? textOf(`${directory}/${name}`) ?? launcher
    : [launcher, ...before === undefined ? [] : [before]].join("\n");
  const hadCache = exists(cache);
  const files = new Map([...modules, [name, note]]);
  const written = installModules(directory, files);
  try {
    await trial(text);
    written.push(
      ...replace(`${directory}/${name}`, note, 0o644),
      ...replace(launcher, text, 0o755),
      ...paths.configuration === undefined || configuration === undefined
        ? []
        : replace(
          paths.configuration,
          configuration(textOf(paths.configuration)),
          0o644,
        ),
    );
    return written;
  } catch (error) {
    if (!hadCache) removeCache(cache);
    throw error;
  } finally {
    removeUnused(paths);
  }
}

/** `error`, or what it means of a place where nothing can be installed. Whoever is refused has to be somebody else. */
function explainPlace(error: unknown): unknown {
  if (isSyscallError(error, Errno.EACCES, Errno.EPERM)) return error;
  if (!(error instanceof SyscallError && error.path)) return error;
  const elsewhere =
    "install elsewhere (--bin-dir, --lib-dir, --cache-dir; see --help)";
  const reason = refusal(error, elsewhere);
  if (reason === undefined) return error;
  const path = error.path.endsWith(UNFINISHED)
    ? error.path.slice(0, -UNFINISHED.length)
    : error.path;
  return new InstallationError(`${path} ${reason}`, { cause: error });
}

/**
 * Takes a program away: the configuration first, so that nobody starts what is going. Modules and cache stay as long as other
 * launchers lead to them.
 *
 * @returns the files and directories that were there
 * @throws {InstallationError} when a file of somebody else's has the name of one
 * @throws {SyscallError}
 */
export function uninstallProgram(
  kind: ProgramKind,
  paths: ProgramPaths,
): string[] {
  refuseForeign(kind, paths);
  const { launcher, configuration, cache } = paths;
  const removed: string[] = [];
  for (const path of [configuration, launcher]) {
    if (path === undefined || textOf(path) === undefined) continue;
    removeFile(path);
    removed.push(path);
  }
  removed.push(...removeUnused(paths));
  const isUsed = notesThatCount(paths.library).some((note) =>
    textOf(note.launcher)?.includes(cache)
  );
  if (!isUsed && removeCache(cache)) removed.push(cache);
  return removed;
}

/**
 * The state directory that the installed configuration names, if there is one and it does.
 *
 * @throws {SyscallError}
 */
export function configuredStateDir(
  { stateDirOf }: ProgramKind,
  { configuration }: ProgramPaths,
): string | undefined {
  const text = configuration === undefined ? undefined : textOf(configuration);
  return text === undefined ? undefined : stateDirOf?.(text);
}

/** Removes the versions that are not used, and the library when nothing is left in it. */
function removeUnused({ launcher, library }: ProgramPaths): string[] {
  const used = new Set([
    versionLedTo(launcher, library),
    ...notesThatCount(library).flatMap((note) => [note.version, note.before]),
  ]);
  const unused = versionsIn(library).filter((version) => !used.has(version))
    .map((version) => `${library}/${version}`);
  unused.forEach((directory) => removeDirectory(directory));
  removeIfEmpty(library);
  return unused;
}

/** What is noted of launchers that lead to the version that has the note. */
function notesThatCount(library: string) {
  return versionsIn(library).flatMap((version) =>
    entriesOf(`${library}/${version}`).filter(({ name }) => name.endsWith(NOTE))
      .map(({ name }) => {
        const text = textOf(`${library}/${version}/${name}`) ?? "";
        const [launcher = "", before] = text.split("\n");
        return { version, launcher, before };
      })
  ).filter(({ version, launcher }) =>
    versionLedTo(launcher, library) === version
  );
}

/** The version that a launcher leads to, if there are both. */
function versionLedTo(launcher: string, library: string): string | undefined {
  const text = textOf(launcher);
  return versionsIn(library).find((version) => text?.includes(`/${version}/`));
}

/** Ends the name of a note; in the file is a launcher's path, and on a second line the version that it led to before, if any. */
const NOTE = ".launcher";

/** A directory appears with all of its files, under a name that tells what is in it. */
function installModules(
  directory: string,
  files: ReadonlyMap<string, string>,
): string[] {
  if (exists(directory)) return [];
  const unfinished = `${directory}${UNFINISHED}`;
  removeDirectory(unfinished);
  makeDirectories(unfinished);
  for (const [name, text] of files) {
    replaceFile(`${unfinished}/${name}`, encode(text), 0o644);
  }
  rename(unfinished, directory);
  return [directory];
}

/** Writes a file that is not yet so; a process that is reading the old one keeps it. */
function replace(path: string, text: string, mode: number): string[] {
  if (textOf(path) === text) return [];
  makeDirectories(parentOf(path));
  replaceFile(path, encode(text), mode);
  return [path];
}

/** Before anything is done. */
function refuseForeign(
  kind: ProgramKind,
  { launcher, configuration }: ProgramPaths,
): void {
  const refuse = (path: string, isOwn: (text: string) => boolean) => {
    const text = textOf(path);
    if (text === undefined || isOwn(text)) return;
    throw new InstallationError(
      `${path} is not podnet's, or damaged: mend it, move it away, or choose another directory`,
    );
  };
  refuse(launcher, (text) => isLauncher(kind, text));
  if (configuration !== undefined) {
    refuse(configuration, kind.isOwnConfiguration);
  }
}

/** Twelve digits that follow from names and texts. */
function digestOf(modules: ReadonlyMap<string, string>): string {
  const hash = sha256.create();
  for (
    const [name, text] of [...modules].sort(([a], [b]) => compareText(a, b))
  ) {
    hash.update(encode(JSON.stringify([name, text])));
  }
  return hash.digest().subarray(0, 6).toHex();
}

/** The versions in the library's directory, unfinished ones too; what else is there is not podnet's. */
function versionsIn(library: string): string[] {
  return entriesOf(library).map(({ name }) => name).filter((name) =>
    /^[0-9a-f]{12}(\.tmp)?$/.test(name)
  );
}

/** Deno's cache: files, and directories with files in them. */
function removeCache(path: string): boolean {
  if (!exists(path)) return false;
  for (const { name, kind } of entriesOf(path)) {
    if (kind === "directory") removeCache(`${path}/${name}`);
    else removeFile(`${path}/${name}`);
  }
  removeIfEmpty(path);
  return true;
}

function entriesOf(path: string) {
  try {
    return readDirectory(path);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) return [];
    throw error;
  }
}

function textOf(path: string): string | undefined {
  try {
    return readTextFile(path);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) return undefined;
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    lstat(path);
    return true;
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) return false;
    throw error;
  }
}

function makeDirectories(path: string): void {
  try {
    mkdir(path, 0o755);
  } catch (error) {
    if (isSyscallError(error, Errno.EEXIST)) return;
    if (!isSyscallError(error, Errno.ENOENT)) throw error;
    makeDirectories(parentOf(path));
    mkdir(path, 0o755);
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

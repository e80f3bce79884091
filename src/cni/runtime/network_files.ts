/**
 * Networks as an administrator writes them: files of one directory.
 * @module
 */

import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import { O_NONBLOCK, readDirectory, readTextFile } from "../../../ffi/file.ts";
import { SandboxError } from "../../errors.ts";
import { CniError } from "../model/error.ts";
import type { JsonObject } from "../model/json.ts";
import {
  type NetworkList,
  parseNetworkList,
  parsePluginConfig,
  requirePlugins,
} from "../model/network.ts";

/** Where administrators put networks. */
export const DEFAULT_CONF_DIR = "/etc/cni/net.d";

/** No network's file is longer. */
const MAX_BYTES = 1 << 20;

/** Where networks are looked for. */
export interface NetworkFileOptions {
  /**
   * The directory.
   * @default "/etc/cni/net.d"
   */
  readonly confDir?: string;
}

/** A file that is to have a network. */
export type NetworkFile =
  | {
    /** Its path. */
    readonly path: string;
    /** The network's name. */
    readonly name: string;
    /** What `Sandbox.attach()` takes. */
    readonly conflist: JsonObject;
    /** Only of files that cannot be read. */
    readonly problem?: undefined;
  }
  | {
    /** Its path. */
    readonly path: string;
    /** Only of files that can be read. */
    readonly name?: undefined;
    /** Only of files that can be read. */
    readonly conflist?: undefined;
    /** Why it cannot be read. */
    readonly problem: string;
  };

/**
 * The networks of a directory in the order in which runtimes look for them: lists (`.conflist`) by the names of their
 * files, then single plugins (`.conf` and `.json`), each as a list of one. The first network of a name is the one that
 * counts.
 *
 * Plugins of the directory that is named after a network are appended to its own, unless it says
 * `loadOnlyInlinedPlugins`.
 *
 * @throws {SyscallError} when the directory is there and cannot be read
 */
export function listNetworks(options: NetworkFileOptions = {}): NetworkFile[] {
  const { confDir = DEFAULT_CONF_DIR } = options;
  return [
    ...filesOf(confDir, [".conflist"]),
    ...filesOf(confDir, [".conf", ".json"]),
  ].map((path): NetworkFile => {
    try {
      const { name, raw } = readNetwork(path);
      return { path, name, conflist: raw };
    } catch (error) {
      if (!(error instanceof CniError || error instanceof SyscallError)) {
        throw error;
      }
      return { path, problem: error.message };
    }
  });
}

/**
 * The network of this name, for `Sandbox.attach()`.
 *
 * @example
 * ```ts ignore
 * await sandbox.attach({ conflist: findNetwork("storage") });
 * ```
 *
 * @throws {SandboxError} `NetworkNotFound`
 * @throws {SyscallError} when the directory is there and cannot be read
 */
export function findNetwork(
  name: string,
  options: NetworkFileOptions = {},
): JsonObject {
  const files = listNetworks(options);
  const found = files.find((file) => file.name === name);
  if (found?.conflist !== undefined) return found.conflist;
  throw new SandboxError("NetworkNotFound", {
    name,
    confDir: options.confDir ?? DEFAULT_CONF_DIR,
    known: files.flatMap((file) => file.name ?? []),
    problems: files.flatMap(({ path, problem }) =>
      problem === undefined ? [] : [`${path}: ${problem}`]
    ),
  });
}

/**
 * Reads the network of one file.
 *
 * @throws {CniError} 1, 6 or 7 when it is none
 * @throws {SyscallError}
 */
export function readNetwork(path: string): NetworkList {
  const list = parseNetworkList(readText(path));
  if (list.loadOnlyInlinedPlugins) return requirePlugins(list);
  const directory = `${path.slice(0, path.lastIndexOf("/"))}/${list.name}`;
  const more = filesOf(directory, [".conf"])
    .map((file) => parsePluginConfig(readText(file)));
  if (more.length === 0) return requirePlugins(list);
  const plugins = [...list.plugins, ...more].map(({ raw }) => raw);
  // Whole from now on: nobody may append them once more.
  return parseNetworkList({
    ...list.raw,
    plugins,
    loadOnlyInlinedPlugins: true,
  });
}

function readText(path: string): string {
  return readTextFile(path, { maxBytes: MAX_BYTES, flags: O_NONBLOCK });
}

/** Files with these endings, sorted; a directory that is not there has none. */
function filesOf(directory: string, endings: readonly string[]): string[] {
  try {
    return readDirectory(directory)
      .filter(({ name, kind }) =>
        kind !== "directory" &&
        endings.some((ending) => name.endsWith(ending))
      )
      .map(({ name }) => `${directory}/${name}`).sort();
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) return [];
    throw error;
  }
}

/**
 * Network configurations: one plugin's, and lists of them. What is not read here is kept as it is, for the plugins.
 * @module
 */

import { CniError, CniErrorCode } from "./error.ts";
import {
  defined,
  type JsonObject,
  optional,
  parseJsonObject,
  readFlag,
  readList,
  readObject,
  readString,
  wrongValue,
} from "./json.ts";
import {
  isContainerId,
  isInterfaceName,
  isNetworkName,
  isPluginType,
} from "./names.ts";
import {
  type CniVersion,
  incompatible,
  isCniVersion,
  parseVersion,
  versionNumbers,
} from "./version.ts";

/** One plugin of a list. */
export interface PluginConfig {
  /** The executable's name. */
  readonly type: string;
  /** What of a container's arguments the plugin wants; only those that are `true`. */
  readonly capabilities: readonly string[];
  /** Everything that was written, unknown keys included. */
  readonly raw: JsonObject;
}

/** A list of plugins that make one attachment. */
export interface NetworkList {
  /** The network's name. */
  readonly name: string;
  /** The version that its plugins are spoken to in. */
  readonly cniVersion: CniVersion;
  /** Whether CHECK must not be run. */
  readonly disableCheck: boolean;
  /** Whether GC must not be run. */
  readonly disableGC: boolean;
  /** Whether the plugins of the directory named after the network are left out. */
  readonly loadOnlyInlinedPlugins: boolean;
  /** In the order of ADD. Empty when all of them are in the directory named after the network. */
  readonly plugins: readonly PluginConfig[];
  /** Everything that was written, unknown keys included. */
  readonly raw: JsonObject;
}

/** What a plugin is given on its standard input, as far as it is the same for all plugins. */
export interface PluginRequest extends PluginConfig {
  /** The network's name. */
  readonly name: string;
  /** The version to answer in. */
  readonly cniVersion: CniVersion;
  /** What the runtime says of the container; see {@linkcode readRuntimeConfig}. */
  readonly runtimeConfig: JsonObject;
  /** The result so far, or of ADD; undefined when there is none. */
  readonly prevResult?: JsonObject;
  /** What `args` has under `cni`. */
  readonly args: JsonObject;
  /** The attachments to keep, on GC. Undefined when the key is missing, which says nothing about any. */
  readonly validAttachments?: readonly Attachment[];
}

/** What tells the attachments of one network apart. */
export interface Attachment {
  /** The container. */
  readonly containerID: string;
  /** The link's name in the container. */
  readonly ifname: string;
}

/** The key of the attachments that GC keeps. */
export const VALID_ATTACHMENTS = "cni.dev/valid-attachments";

/**
 * Reads a list of plugins, or the configuration of a single plugin as a list of one.
 *
 * Of `cniVersion` and `cniVersions` the highest that is known here counts.
 * @throws {CniError} 6 when the text is no JSON object, 1 when no version of it is known, 7 for everything else
 */
export function parseNetworkList(input: string | JsonObject): NetworkList {
  const raw = typeof input === "string"
    ? parseJsonObject(input, "the network configuration")
    : input;
  const loadOnlyInlinedPlugins =
    optional(raw, "loadOnlyInlinedPlugins", readFlag) ?? false;
  const single = !Object.hasOwn(raw, "plugins") && Object.hasOwn(raw, "type");
  const plugins = single
    ? [readPluginConfig(raw, "")]
    : optional(raw, "plugins", readList(readPluginConfig));
  if (plugins?.length === 0) throw wrongValue("plugins", "a list of plugins");
  if (plugins === undefined && loadOnlyInlinedPlugins) {
    throw wrongValue("plugins", "there when loadOnlyInlinedPlugins is true");
  }
  return {
    name: readNetworkName(raw),
    cniVersion: readVersions(raw),
    disableCheck: optional(raw, "disableCheck", readFlag) ?? false,
    disableGC: optional(raw, "disableGC", readFlag) ?? false,
    loadOnlyInlinedPlugins: loadOnlyInlinedPlugins || single,
    plugins: plugins ?? [],
    raw,
  };
}

/**
 * Reads the configuration of one plugin, as a file of the directory named after the network has it.
 * @throws {CniError} 6 when the text is no JSON object, 7 for everything else
 */
export function parsePluginConfig(input: string | JsonObject): PluginConfig {
  return readPluginConfig(
    typeof input === "string"
      ? parseJsonObject(input, "the plugin configuration")
      : input,
    "",
  );
}

/**
 * Reads what a plugin has on its standard input.
 * @throws {CniError} 6 when the text is no JSON object, 1 when its version is not known, 7 for everything else
 */
export function parsePluginRequest(input: string | JsonObject): PluginRequest {
  const raw = typeof input === "string"
    ? parseJsonObject(input, "the network configuration")
    : input;
  const args = optional(raw, "args", readObject) ?? {};
  return {
    cniVersion: parseVersion(optional(raw, "cniVersion", readString)),
    ...readPluginConfig(raw, ""),
    name: readNetworkName(raw),
    runtimeConfig: optional(raw, "runtimeConfig", readObject) ?? {},
    args: optional(args, "cni", readObject, "args") ?? {},
    ...defined({
      prevResult: optional(raw, "prevResult", readObject),
      validAttachments: optional(
        raw,
        VALID_ATTACHMENTS,
        readList(readAttachment),
      ),
    }),
  };
}

function readNetworkName(raw: JsonObject): string {
  const name = optional(raw, "name", readString);
  if (name !== undefined && isNetworkName(name)) return name;
  throw wrongValue(
    "name",
    'there, of letters, digits, "_", "." and "-", and begin with a letter or digit',
  );
}

function readPluginConfig(
  value: JsonObject | JsonObject[string],
  path: string,
): PluginConfig {
  const raw = readObject(value, path === "" ? "the configuration" : path);
  const type = optional(raw, "type", readString, path) ?? "";
  if (!isPluginType(type)) {
    throw wrongValue(
      path === "" ? "type" : `${path}.type`,
      'the name of an executable, without "/"',
    );
  }
  const capabilities = optional(raw, "capabilities", readObject, path) ?? {};
  return {
    type,
    capabilities: Object.keys(capabilities).filter((name) =>
      capabilities[name] === true
    ),
    raw,
  };
}

function readAttachment(value: JsonObject[string], path: string): Attachment {
  const raw = readObject(value, path);
  const containerID = optional(raw, "containerID", readString, path) ?? "";
  const ifname = optional(raw, "ifname", readString, path) ?? "";
  // A list that is not understood must not be one by which attachments are taken away.
  if (!isContainerId(containerID) || !isInterfaceName(ifname)) {
    throw wrongValue(path, "a containerID and an ifname");
  }
  return { containerID, ifname };
}

/** The highest version that is offered and known. */
function readVersions(raw: JsonObject): CniVersion {
  const own = optional(raw, "cniVersion", readString);
  const offered = optional(raw, "cniVersions", readList(readString));
  if (offered === undefined) return parseVersion(own);
  const all = own === undefined || own === "" ? offered : [...offered, own];
  for (const text of all) {
    if (versionNumbers(text) === undefined) throw incompatible(text);
  }
  const known = all.filter(isCniVersion);
  if (known.length === 0 && all.length > 0) throw incompatible(all.join(", "));
  return known.reduce<CniVersion>(
    (a, b) => comparedVersions(a, b) < 0 ? b : a,
    parseVersion(known[0]),
  );
}

function comparedVersions(a: CniVersion, b: CniVersion): number {
  const [left, right] = [versionNumbers(a) ?? [], versionNumbers(b) ?? []];
  const at = left.findIndex((n, i) => n !== right[i]);
  return at < 0 ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
}

/**
 * What a plugin of the list gets on its standard input. The list's name and version go into every plugin's
 * configuration; what is the runtime's own business (`capabilities`, `runtimeConfig`, `prevResult` and `cni.dev/…`
 * keys that somebody wrote) comes out of it.
 *
 * @param inject `runtimeConfig`, `prevResult` and the like
 */
export function pluginInput(
  list: Pick<NetworkList, "name" | "cniVersion">,
  plugin: PluginConfig,
  inject: {
    readonly runtimeConfig?: JsonObject;
    readonly prevResult?: JsonObject;
    readonly validAttachments?: readonly Attachment[];
  } = {},
): JsonObject {
  const kept = Object.entries(plugin.raw).filter(([key]) =>
    !["capabilities", "runtimeConfig", "prevResult"].includes(key) &&
    !key.startsWith("cni.dev/")
  );
  const { runtimeConfig = {}, prevResult, validAttachments } = inject;
  return {
    ...Object.fromEntries(kept),
    name: list.name,
    cniVersion: list.cniVersion,
    ...Object.keys(runtimeConfig).length > 0 && { runtimeConfig },
    ...prevResult !== undefined && { prevResult },
    ...validAttachments !== undefined && {
      [VALID_ATTACHMENTS]: validAttachments.map(({ containerID, ifname }) => ({
        containerID,
        ifname,
      })),
      // The name that version 1.1.0 of the specification had in another place.
      "cni.dev/attachments": validAttachments.map((
        { containerID, ifname },
      ) => ({ containerID, ifname })),
    },
  };
}

/** The values of these arguments that the plugin has a capability for. */
export function runtimeConfigFor(
  plugin: PluginConfig,
  args: JsonObject,
): JsonObject {
  return Object.fromEntries(
    plugin.capabilities.flatMap((name) => {
      const value = Object.hasOwn(args, name) ? args[name] : undefined;
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/**
 * Refuses a list without plugins, as it is once its directory has been read.
 * @throws {CniError} 7
 */
export function requirePlugins(list: NetworkList): NetworkList {
  if (list.plugins.length > 0) return list;
  throw new CniError(
    CniErrorCode.INVALID_NETWORK_CONFIG,
    `network ${list.name} has no plugins`,
  );
}

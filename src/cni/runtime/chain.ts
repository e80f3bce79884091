/**
 * The execution protocol: what a runtime has the plugins of a network do, in which order and with what (section 3 and 4
 * of the specification). Who calls this sees to it that nothing else is done to the container meanwhile.
 * @module
 */

import { CniError, CniErrorCode } from "../model/error.ts";
import { type JsonObject, readList, readString } from "../model/json.ts";
import {
  type Attachment,
  type NetworkList,
  type PluginConfig,
  pluginInput,
  runtimeConfigFor,
} from "../model/network.ts";
import { parseResult } from "../model/result.ts";
import { resultDocument } from "../model/result_document.ts";
import {
  type CniVersion,
  deletesWithResult,
  hasCommand,
  NEWEST_VERSION,
} from "../model/version.ts";
import {
  type CniCommand,
  type ContainerInterface,
  NO_INTERFACE,
} from "./command.ts";
import { findPlugin, type PluginHost, runPlugin } from "./plugin.ts";
import { CniPluginError } from "./plugin_error.ts";

/** An interface of a container, with what is said of the container to plugins that have the capability. */
export interface AttachmentTarget extends ContainerInterface {
  /** By capability. */
  readonly capabilityArgs: JsonObject;
}

/**
 * ADD: each plugin gets the result of the one before. When one fails, all of them are run with DEL before this throws,
 * whatever becomes of that.
 *
 * @returns the result of the last one, in the list's version
 * @throws {CniPluginError} with `undoFailures` when a DEL failed: then it has to be repeated
 * @throws {Deno.errors.NotCapable} without `--allow-run`
 */
export async function addNetwork(
  host: PluginHost,
  list: NetworkList,
  target: AttachmentTarget,
): Promise<JsonObject> {
  // A chain of which one is missing is not begun.
  for (const plugin of list.plugins) findPlugin(host, runName(list, plugin));
  let result: JsonObject | undefined;
  for (const [at, plugin] of list.plugins.entries()) {
    try {
      const answer = await run(host, list, plugin, "ADD", target, result);
      result = inListVersion(list, plugin, answer ?? {});
    } catch (error) {
      // Nothing was begun, so there is nothing to take back.
      if (at === 0 && !wasRun(error)) throw error;
      throw await undone(host, list, target, error);
    }
  }
  // A list has a plugin at least.
  return result ?? {};
}

async function undone(
  host: PluginHost,
  list: NetworkList,
  target: AttachmentTarget,
  error: unknown,
): Promise<unknown> {
  const failures = await deleteEach(host, list, target, undefined);
  if (failures.length > 0 && error instanceof Error) {
    Object.assign(error, { undoFailures: failures });
  }
  return error;
}

function wasRun(error: unknown): boolean {
  return error instanceof CniPluginError && error.reason !== "notStarted" &&
    error.reason !== "notFound";
}

/** A plugin should answer in the version that it was asked in. One that does not say means that one, too. */
function inListVersion(
  { cniVersion, name }: NetworkList,
  { type }: PluginConfig,
  answer: JsonObject,
): JsonObject {
  const { cniVersion: own } = answer;
  const said: JsonObject = own === undefined || own === null || own === ""
    ? { ...answer, cniVersion }
    : answer;
  try {
    const result = parseResult(said);
    // As it came, with whatever else it has in it.
    if (said["cniVersion"] === cniVersion) return said;
    return resultDocument(result, cniVersion);
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw new CniPluginError(
      { reason: "unreadable", plugin: type, command: "ADD", network: name },
      `what it answered is no result: ${error.message}`,
      { cause: error },
    );
  }
}

/**
 * CHECK: each plugin gets the final result. Does nothing when the list says so.
 *
 * @throws {CniPluginError} of the first that finds something
 * @throws {CniError} 1 when the list's version has no CHECK
 */
export async function checkNetwork(
  host: PluginHost,
  list: NetworkList,
  target: AttachmentTarget,
  result: JsonObject,
): Promise<void> {
  if (!hasCommand(list.cniVersion, "CHECK")) {
    throw new CniError(
      CniErrorCode.INCOMPATIBLE_VERSION,
      `network ${list.name} has version ${list.cniVersion}, which has no CHECK`,
    );
  }
  if (list.disableCheck) return;
  const last = inVersion(result, list.cniVersion);
  for (const plugin of list.plugins) {
    await run(host, list, plugin, "CHECK", target, last);
  }
}

/**
 * DEL, in reverse order: each plugin gets the final result, if there is one.
 *
 * @throws {CniPluginError} of the first that fails; those before it in the list have not been run then
 * @throws {Deno.errors.NotCapable} without `--allow-run`
 */
export async function deleteNetwork(
  host: PluginHost,
  list: NetworkList,
  target: AttachmentTarget,
  result: JsonObject | undefined,
): Promise<void> {
  for (const run of deletions(host, list, target, result)) await run();
}

/** {@linkcode deleteNetwork}, past all that fails. */
export async function deleteEach(
  host: PluginHost,
  list: NetworkList,
  target: AttachmentTarget,
  result: JsonObject | undefined,
): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const run of deletions(host, list, target, result)) {
    await run().catch((error: unknown) => failures.push(error));
  }
  return failures;
}

function deletions(
  host: PluginHost,
  list: NetworkList,
  target: AttachmentTarget,
  result: JsonObject | undefined,
): (() => Promise<unknown>)[] {
  const last = result !== undefined && deletesWithResult(list.cniVersion)
    ? inVersion(result, list.cniVersion)
    : undefined;
  return list.plugins.toReversed().map((plugin) => () =>
    run(host, list, plugin, "DEL", target, last)
  );
}

/** A result that was kept; the configuration may have had another version then. */
function inVersion(result: JsonObject, version: CniVersion): JsonObject {
  return result["cniVersion"] === version
    ? result
    : resultDocument(parseResult(result), version);
}

/**
 * GC: each plugin is told which attachments are valid, and removes all others. Does nothing when the list says so, or its
 * version has no GC.
 *
 * @returns what failed
 */
export async function collectNetwork(
  host: PluginHost,
  list: NetworkList,
  validAttachments: readonly Attachment[],
): Promise<unknown[]> {
  if (list.disableGC || !hasCommand(list.cniVersion, "GC")) return [];
  const failures: unknown[] = [];
  for (const plugin of list.plugins) {
    try {
      await runPlugin(host, {
        ...runName(list, plugin, "GC"),
        container: NO_INTERFACE,
        input: pluginInput(list, plugin, { validAttachments }),
      });
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}

/** A plugin as it is installed. */
export interface InstalledPlugin {
  /** Its `type`. */
  readonly plugin: string;
  /** Its file. */
  readonly path: string;
  /** The versions of the specification that it knows. */
  readonly supportedVersions: readonly string[];
}

/**
 * Whether ADD could work: each plugin is there, knows the list's version, and says so itself where that version has
 * STATUS.
 *
 * @throws {CniPluginError} of the first that is not ready; 50 and 51 are the codes of the specification for that
 * @throws {CniError} 1 when a plugin does not know the version
 */
export async function networkStatus(
  host: PluginHost,
  list: NetworkList,
): Promise<InstalledPlugin[]> {
  const installed: InstalledPlugin[] = [];
  for (const plugin of list.plugins) {
    const found = await installedPlugin(host, plugin.type);
    if (!found.supportedVersions.includes(list.cniVersion)) {
      throw new CniError(
        CniErrorCode.INCOMPATIBLE_VERSION,
        `plugin ${plugin.type} does not know version ${list.cniVersion}, which network ${list.name} has`,
        { details: `it knows ${found.supportedVersions.join(", ")}` },
      );
    }
    if (hasCommand(list.cniVersion, "STATUS")) {
      await runPlugin(host, {
        ...runName(list, plugin, "STATUS"),
        container: NO_INTERFACE,
        input: pluginInput(list, plugin),
      });
    }
    installed.push(found);
  }
  return installed;
}

/**
 * VERSION.
 *
 * @throws {CniPluginError}
 */
export async function installedPlugin(
  host: PluginHost,
  type: string,
): Promise<InstalledPlugin> {
  const name = { plugin: type, command: "VERSION", network: "" } as const;
  const answer = await runPlugin(host, {
    ...name,
    // Plugins that were built with old libraries ask for these.
    container: { ...NO_INTERFACE, netns: "dummy", ifName: "dummy" },
    input: { cniVersion: NEWEST_VERSION },
  });
  try {
    const supportedVersions = readList(readString)(
      answer?.["supportedVersions"] ?? null,
      "supportedVersions",
    );
    return { plugin: type, path: findPlugin(host, name), supportedVersions };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw new CniPluginError(
      { ...name, reason: "unreadable" },
      `what it answered has no versions: ${error.message}`,
      { cause: error },
    );
  }
}

async function run(
  host: PluginHost,
  list: NetworkList,
  plugin: PluginConfig,
  command: CniCommand,
  target: AttachmentTarget,
  prevResult: JsonObject | undefined,
): Promise<JsonObject | undefined> {
  return await runPlugin(host, {
    ...runName(list, plugin, command),
    container: target,
    input: pluginInput(list, plugin, {
      runtimeConfig: runtimeConfigFor(plugin, target.capabilityArgs),
      ...prevResult === undefined ? {} : { prevResult },
    }),
  });
}

function runName(
  { name }: NetworkList,
  { type }: PluginConfig,
  command: CniCommand = "ADD",
) {
  return { plugin: type, command, network: name };
}

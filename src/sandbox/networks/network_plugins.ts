/**
 * How the plugins of an attachment are run, and where the reference runtime library looks for it.
 *
 * @module
 */
import type { CachedAttachment } from "../../cni/model/cache.ts";
import { CniError } from "../../cni/model/error.ts";
import type { JsonObject } from "../../cni/model/json.ts";
import { type NetworkList, parseNetworkList } from "../../cni/model/network.ts";
import { type AttachmentTarget, deleteEach } from "../../cni/runtime/chain.ts";
import type { PluginHost } from "../../cni/runtime/plugin.ts";
import { ResultCache } from "../../cni/runtime/result_cache.ts";
import { isSandboxError } from "../../errors.ts";
import type {
  NormalisedNetwork,
  NormalisedNetworkAttachment,
} from "../../spec/network_attachment.ts";
import { present } from "../../state/directory.ts";
import { removeFile } from "../../state/store.ts";
import type { NodeContext } from "../node/context.ts";
import { digest } from "../records/digest.ts";
import {
  type NetworkNote,
  NetworkNotes,
  readJson,
} from "../records/network_notes.ts";
import type { NodeState } from "../records/node_state.ts";

/** How an attachment's plugins are found and run. */
type How = Pick<NetworkNote, "pluginDirs" | "timeoutMs">;

/** What the containers of one node have in common, unlike those of any other node on the machine. */
export function containerPrefix({ directory }: NodeState): string {
  return `pn-${digest(directory).subarray(0, 4).toHex()}-`;
}

/** How plugins are run on the node. */
export function hostOf(
  { namespace }: NodeContext,
  { pluginDirs, timeoutMs }: How,
): PluginHost {
  return { namespace, pluginDirs, timeoutMs };
}

/** Where an attachment is noted for others. */
export function cacheOf({ cacheDir }: NetworkNote): ResultCache {
  return new ResultCache(cacheDir);
}

/** What plugins are told of an attachment. */
export function targetOf(
  { containerId, name, args, runtimeConfig }: NetworkNote,
  netns: string,
): AttachmentTarget {
  return {
    containerId,
    ifName: name,
    netns,
    args,
    capabilityArgs: readJson(runtimeConfig),
  };
}

/** An attachment as the reference runtime library notes it. */
export function cached(
  { state }: NodeContext,
  id: string,
  note: NetworkNote,
): CachedAttachment {
  return {
    ...keyOf(note),
    config: note.config,
    netns: state.pinPath(id),
    cniArgs: note.args,
    capabilityArgs: readJson(note.runtimeConfig),
    ...note.result === undefined ? {} : { result: readJson(note.result) },
  };
}

/** A network as it is now, and how an attachment to it is made now. */
export type Now =
  & Omit<NormalisedNetwork, "config" | "cacheDir">
  & Partial<Pick<NormalisedNetworkAttachment, "args" | "runtimeConfig">>;

/** What is noted of an attachment. */
interface Noted {
  readonly list: NetworkList;
  readonly target: AttachmentTarget;
  readonly result: JsonObject | undefined;
}

/**
 * DEL of an attachment as it was noted, past all that fails. Most plugins refuse in DEL what they refused in ADD, and then
 * it is the mistake that was noted: so one that never came to be is deleted once more as the network is now, if its plugins
 * are still the same.
 *
 * @returns what failed
 */
export async function deleteNoted(
  context: NodeContext,
  how: How,
  { list, target, result }: Noted,
  now: Now | undefined,
): Promise<unknown[]> {
  const failures = await deleteEach(
    hostOf(context, how),
    list,
    target,
    result,
  );
  if (
    failures.length === 0 || result !== undefined || now === undefined ||
    typesOf(now.list) !== typesOf(list)
  ) return failures;
  const { args = [], runtimeConfig = {} } = now;
  const again = await deleteEach(
    hostOf(context, now),
    now.list,
    { ...target, args, capabilityArgs: runtimeConfig },
    undefined,
  );
  return again.length === 0 ? [] : failures;
}

function typesOf({ name, plugins }: NetworkList): string {
  return [name, ...plugins.map(({ type }) => type)].join("\n");
}

/**
 * DEL of an attachment that only the cache tells of, past all that fails; its namespace is none any more.
 *
 * @param now also for one that was noted by somebody else, in another way
 * @returns what failed
 */
export async function deleteCached(
  context: NodeContext,
  now: Now,
  { config, containerId, ifName, cniArgs, capabilityArgs, result }:
    CachedAttachment,
): Promise<unknown[]> {
  const target = {
    containerId,
    ifName,
    netns: "",
    args: cniArgs,
    capabilityArgs,
  };
  const list = asItWas(config) ?? now.list;
  return await deleteNoted(context, now, { list, target, result }, now);
}

/** The network that was noted; undefined when the note is no network. */
export function asItWas(config: string): NetworkList | undefined {
  try {
    const list = parseNetworkList(config);
    return list.plugins.length === 0 ? undefined : list;
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

/**
 * Files that were left by a process that was killed while it noted what a sandbox is attached to; they are removed, but in
 * a dry run. None while somebody is at work on it, and writes.
 */
export async function tidyNotes(
  state: NodeState,
  id: string,
  dryRun: boolean,
): Promise<string[]> {
  try {
    using notes = await NetworkNotes.lock(state, id, { timeoutMs: 0 });
    if (notes === undefined) return [];
    const ofCache = notes.list().map((note) =>
      cacheOf(note).temporaryFile(keyOf(note))
    );
    const files = [...notes.temporaryFiles(), ...ofCache.filter(present)];
    if (!dryRun) { for (const path of files) removeFile(path); }
    return files;
  } catch (error) {
    const isLeft = isSandboxError(error, "Timeout") ||
      isSandboxError(error, "StateUnusable") ||
      isSandboxError(error, "RecordInvalid");
    if (!isLeft) throw error;
    return [];
  }
}

function keyOf({ network, containerId, name }: NetworkNote) {
  return { networkName: network, containerId, ifName: name };
}

/**
 * Networks whose interfaces plugins make: a sandbox attached to them, and detached.
 *
 * What is about to be attached is noted before the first plugin runs, and until the last one has taken it away: whoever
 * dies in between leaves a note that the next attach, detach or removal, or garbage collection, follows.
 *
 * @module
 */
import { processGroup } from "../../../ffi/process.ts";
import type { CachedAttachment } from "../../cni/model/cache.ts";
import type { ResultCache } from "../../cni/runtime/result_cache.ts";
import {
  addNetwork,
  checkNetwork,
  deleteEach,
} from "../../cni/runtime/chain.ts";
import type { JsonObject } from "../../cni/model/json.ts";
import { parseNetworkList } from "../../cni/model/network.ts";
import { parseResult } from "../../cni/model/result.ts";
import { SandboxError } from "../../errors.ts";
import {
  type NormalisedNetworkAttachment,
  parseNetworkAttachment,
} from "../../spec/network_attachment.ts";
import type { NodeContext } from "../node/context.ts";
import { attachmentOf, type SandboxAttachment } from "../pod/description.ts";
import {
  type NetworkNote,
  NetworkNotes,
  readJson,
} from "../records/network_notes.ts";
import {
  cached,
  cacheOf,
  containerPrefix,
  deleteCached,
  hostOf,
  targetOf,
} from "./network_plugins.ts";
import { openPod } from "../pod/interfaces.ts";
import { giveOwnTable } from "../pod/own_table.ts";
import type { SandboxRecord } from "../records/records.ts";
import { type DetachOptions, release } from "./release_networks.ts";

/** A sandbox that somebody has a handle of. */
export type SandboxHandle = Pick<SandboxRecord, "id" | "createdAt" | "spec">;

/**
 * Attaches a sandbox to a network. The same attachment again does nothing.
 *
 * @throws {SandboxError} `InvalidSpec`, `SandboxNotFound`, `InvalidNamespace`, `StateUnusable`, `Timeout`
 * @throws {CniPluginError} a plugin failed; what others had made is taken back, unless it has `undoFailures`
 * @throws {Deno.errors.NotCapable} without `--allow-run`
 */
export async function attachNetwork(
  context: NodeContext,
  sandbox: SandboxHandle,
  given: unknown,
): Promise<SandboxAttachment> {
  const wanted = parseNetworkAttachment(given);
  const { record, notes: opened } = await openNotes(context, sandbox);
  using notes = opened;
  const known = notes.list();
  const same = wanted.name === undefined
    ? known.find((note) => isSame(note, wanted)) ??
      known.find((note) => neverCameToBe(note, wanted))
    : known.find((note) => note.name === wanted.name);
  if (same !== undefined) {
    const isReady = same.state === "ready" &&
      same.incarnation === record.createdAt;
    if (isReady && isSame(same, wanted)) return attachmentOf(same);
    if (isReady) throw nameTaken(same.name, `network ${same.network}'s`);
    // It was cut short, or failed.
    const changed = isSame(same, wanted) ? {} : { now: wanted };
    await release(context, record.id, notes, same, changed);
  }
  const name = wanted.name ?? same?.name ?? freeName(record, known);
  if (ownNames(record).includes(name)) throw nameTaken(name, "podnet's");
  const note = noteOf(context, record, wanted, name);
  using _cache = await cacheOf(note).lock("shared");
  // A container of the same name may have been attached before a reboot, or before the state directory was lost: plugins
  // have notes of their own on disk.
  const left = cacheOf(note).read(cached(context, record.id, note));
  if (left !== undefined) await deleteCached(context, wanted, left);
  return await make(context, record.id, notes, note);
}

/** Runs the plugins. The note is there before them, and in the cache, too, which outlives a boot. */
async function make(
  context: NodeContext,
  id: string,
  notes: NetworkNotes,
  note: NetworkNote,
): Promise<SandboxAttachment> {
  const host = hostOf(context, note);
  const cache = cacheOf(note);
  const list = parseNetworkList(note.config);
  const target = targetOf(note, context.state.pinPath(id));
  notes.put(note);
  let result: JsonObject | undefined;
  try {
    cache.write(cached(context, id, note));
    result = await addNetwork(host, list, target);
    const ready: NetworkNote = {
      ...note,
      state: "ready",
      result: JSON.stringify(result),
      made: JSON.stringify(parseResult(result)),
    };
    cache.write(cached(context, id, ready));
    notes.put(ready);
    return attachmentOf(ready);
  } catch (error) {
    // A plugin that failed has had the others take back what they made.
    const failures = result === undefined
      ? undoFailuresOf(error)
      : await deleteEach(host, list, target, result);
    // What stays to be done stays noted.
    if (failures.length === 0) {
      failures.push(...forget(cache, notes, cached(context, id, note)));
    }
    if (error instanceof Error) {
      Object.assign(error, { undoFailures: failures });
    }
    throw error;
  }
}

function undoFailuresOf(error: unknown): unknown[] {
  const failures = error instanceof Error && "undoFailures" in error
    ? error.undoFailures
    : [];
  return Array.isArray(failures) ? [...failures] : [];
}

/** Returns what keeps it from being forgotten: a note that stays is followed later. */
function forget(
  cache: ResultCache,
  notes: NetworkNotes,
  key: CachedAttachment,
): unknown[] {
  try {
    cache.remove(key);
    notes.delete(key.ifName);
    return [];
  } catch (error) {
    return [error];
  }
}

/**
 * Detaches a sandbox from a network.
 *
 * @returns false when it has no such attachment
 * @throws {CniPluginError} unless forced: a plugin failed; it stays attached then, and detaching it again may work
 */
export async function detachNetwork(
  context: NodeContext,
  { id, createdAt }: SandboxHandle,
  name: string,
  options?: DetachOptions,
): Promise<boolean> {
  using notes = await NetworkNotes.lock(context.state, id);
  const note = notes?.list().find((one) =>
    one.name === name && one.incarnation === createdAt
  );
  if (notes === undefined || note === undefined) return false;
  await release(context, id, notes, note, options);
  return true;
}

/**
 * CHECK.
 *
 * @throws {CniPluginError} of the first plugin that misses something
 * @throws {CniError} when the network's version has no CHECK
 * @throws {SandboxError} `InvalidSpec` when there is no such attachment
 */
export async function checkAttachment(
  context: NodeContext,
  { id, createdAt }: SandboxHandle,
  name: string,
): Promise<void> {
  using notes = await NetworkNotes.lock(context.state, id);
  const note = notes?.list().find((one) =>
    one.name === name && one.incarnation === createdAt
  );
  if (note === undefined) {
    throw refused("name", name, "the sandbox has no such attachment");
  }
  if (note.state !== "ready" || note.result === undefined) {
    throw refused(
      "name",
      name,
      "its plugins did not finish: attach it again, or detach it",
    );
  }
  await checkNetwork(
    hostOf(context, note),
    parseNetworkList(note.config),
    targetOf(note, context.state.pinPath(id)),
    readJson(note.result),
  );
}

/** Locks the notes of a sandbox that is there, and makes room for one. */
async function openNotes(
  context: NodeContext,
  sandbox: SandboxHandle,
): Promise<{ readonly record: SandboxRecord; readonly notes: NetworkNotes }> {
  const { state } = context;
  for (;;) {
    const { record, isMade } = await makeRoom(context, sandbox);
    try {
      const notes = await NetworkNotes.lock(state, record.id);
      // Whoever removed the last attachment in between took the directory away.
      if (notes !== undefined) return { record, notes };
    } catch (error) {
      if (isMade) NetworkNotes.abandon(state, record.id);
      throw error;
    }
  }
}

async function makeRoom(
  context: NodeContext,
  { id, createdAt, spec: { name, namespace } }: SandboxHandle,
): Promise<{ readonly record: SandboxRecord; readonly isMade: boolean }> {
  const { state } = context;
  using _node = await state.lock("shared");
  using lock = await state.lockSandbox(id);
  const record = lock && state.readSandbox(id);
  if (record?.state !== "ready" || record.createdAt !== createdAt) {
    throw new SandboxError("SandboxNotFound", { name, namespace });
  }
  if (record.spec.hostNetwork) {
    throw refused(
      "",
      undefined,
      "leave it: on the host network the pod has the node's own network, which podnet does not change",
    );
  }
  using pod = openPod(context, record);
  if (pod === undefined) {
    throw new SandboxError("InvalidNamespace", {
      path: state.pinPath(id),
      reason: "it is gone: create the sandbox again",
    });
  }
  giveOwnTable(context, record, pod.podRoute);
  return { record, isMade: NetworkNotes.prepare(state, id) };
}

function noteOf(
  { state }: NodeContext,
  { id, createdAt }: SandboxRecord,
  { list, config, args, runtimeConfig, pluginDirs, cacheDir, timeoutMs }:
    NormalisedNetworkAttachment,
  name: string,
): NetworkNote {
  return {
    name,
    network: list.name,
    state: "unfinished",
    cniVersion: list.cniVersion,
    plugins: list.plugins.map(({ type }) => type),
    containerId: containerPrefix(state) + id,
    incarnation: createdAt,
    config,
    args: args.map(([key, value]) => [key, value]),
    runtimeConfig: JSON.stringify(runtimeConfig),
    pluginDirs,
    cacheDir,
    timeoutMs,
    group: processGroup(),
  };
}

/** Where the plugins are and how long they may take is no part of what they make. */
function isSame(
  { config, args, runtimeConfig }: NetworkNote,
  wanted: NormalisedNetworkAttachment,
): boolean {
  return config === wanted.config &&
    runtimeConfig === JSON.stringify(wanted.runtimeConfig) &&
    JSON.stringify(args) === JSON.stringify(wanted.args);
}

/** Whether it stands for a try that failed, or was cut short: who tries again may have corrected it. */
function neverCameToBe(
  { network, result }: NetworkNote,
  wanted: NormalisedNetworkAttachment,
): boolean {
  return network === wanted.list.name && result === undefined;
}

function ownNames({ spec, interfaces }: SandboxRecord): string[] {
  return [
    "lo",
    spec.interfaceName,
    ...interfaces.map((own) => own.spec.name),
  ];
}

function freeName(
  record: SandboxRecord,
  known: readonly NetworkNote[],
): string {
  const taken = [...ownNames(record), ...known.map(({ name }) => name)];
  let number = 1;
  while (taken.includes(`net${number}`)) number++;
  return `net${number}`;
}

function nameTaken(name: string, whose: string): SandboxError {
  return refused(
    "name",
    name,
    `${name} is ${whose}: write another name, or detach it first`,
  );
}

function refused(
  path: string,
  received: unknown,
  message: string,
): SandboxError {
  return new SandboxError("InvalidSpec", {
    problems: [{
      path,
      message,
      ...received === undefined ? {} : { received },
    }],
  });
}

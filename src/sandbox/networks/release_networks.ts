/**
 * What plugins have attached a sandbox to, taken away again: one attachment, or all of them because the sandbox goes.
 *
 * @module
 */
import { processGroup } from "../../../ffi/process.ts";
import { deleteNetwork } from "../../cni/runtime/chain.ts";
import { END_TIMEOUT_MS, endWorkers } from "../../cni/runtime/workers.ts";
import { CniError } from "../../cni/model/error.ts";
import { isSandboxError, SandboxError } from "../../errors.ts";
import { isAlive } from "../node/alive.ts";
import type { NodeContext } from "../node/context.ts";
import {
  hasNetworks,
  type NetworkNote,
  NetworkNotes,
  readJson,
  removeStray,
} from "../records/network_notes.ts";
import {
  asItWas,
  cached,
  cacheOf,
  deleteNoted,
  hostOf,
  type Now,
  targetOf,
} from "./network_plugins.ts";

/** How to detach a sandbox. */
export interface DetachOptions {
  /**
   * Also when plugins fail: what they keep is left to the next garbage collection of the network. And when a link of the node
   * cannot be given back, which is then given up.
   * @default false
   */
  readonly force?: boolean;
}

/** What to release. */
export interface ReleaseOptions extends DetachOptions {
  /** Of the sandbox that was made then, and not of one that was made since. */
  readonly incarnation?: string;
}

/**
 * Detaches a sandbox from all networks. Nobody attaches it again until the result is disposed.
 *
 * @returns undefined when it has none
 * @throws {CniPluginError} unless forced
 * @throws {SandboxError} `Timeout`, `StateUnusable`; `RecordInvalid` unless forced
 */
export async function releaseNetworks(
  context: NodeContext,
  id: string,
  { force = false, incarnation }: ReleaseOptions = {},
): Promise<NetworkNotes | undefined> {
  const { state } = context;
  if (!hasNetworks(state, id)) return undefined;
  if (force) removeStray(state, id);
  using opened = new DisposableStack();
  const notes = await NetworkNotes.lock(state, id);
  if (notes === undefined) return undefined;
  opened.use(notes);
  for (const note of readable(notes, force).toReversed()) {
    if (incarnation !== undefined && note.incarnation > incarnation) continue;
    await release(context, id, notes, note, { force });
  }
  opened.move();
  return notes;
}

/** {@linkcode releaseNetworks} for a collector of garbage: what fails, or somebody is at, is left for the next time. */
export async function releaseOrLeave(
  context: NodeContext,
  id: string,
  options: ReleaseOptions,
): Promise<void> {
  try {
    (await releaseNetworks(context, id, options))?.[Symbol.dispose]();
  } catch (error) {
    const isLeft = error instanceof CniError ||
      error instanceof Deno.errors.NotCapable ||
      isSandboxError(error, "Timeout") ||
      isSandboxError(error, "StateUnusable") ||
      isSandboxError(error, "RecordInvalid");
    if (!isLeft) throw error;
  }
}

/** With force notes that cannot be read are given up with their sandbox. */
function readable(
  notes: NetworkNotes,
  force: boolean,
): readonly NetworkNote[] {
  try {
    return notes.list();
  } catch (error) {
    if (!force || !isSandboxError(error, "RecordInvalid")) throw error;
    notes.clear();
    return [];
  }
}

/**
 * Has the plugins of one attachment take it away, and forgets it.
 *
 * @param notes of the sandbox, locked
 * @param options `now` is the network for one that never came to be, see {@linkcode deleteNoted}
 * @throws {CniPluginError} unless forced; it stays noted then
 */
export async function release(
  context: NodeContext,
  id: string,
  notes: NetworkNotes,
  note: NetworkNote,
  { force = false, now }: DetachOptions & { readonly now?: Now } = {},
): Promise<void> {
  const cache = cacheOf(note);
  using _cache = await cache.lock("shared");
  const list = asItWas(note.config);
  const target = targetOf(note, liveNetns(context, id));
  const result = note.result === undefined ? undefined : readJson(note.result);
  if (note.state !== "ready") await endEarlier(note, force);
  // From here on it may be half gone.
  notes.put({ ...note, state: "unfinished", group: processGroup() });
  let failures: unknown[] = [];
  // A note that is damaged has no plugins to run.
  if (list !== undefined) {
    failures = force || now !== undefined
      ? await deleteNoted(context, note, { list, target, result }, now)
      : await deleteNetwork(hostOf(context, note), list, target, result)
        .then(() => [], (error) => [error]);
  }
  if (failures.length > 0 && !force) {
    const [error] = failures;
    // Without --allow-run none of them was run.
    if (error instanceof Deno.errors.NotCapable) notes.put(note);
    throw error;
  }
  // What stays in the cache is what the next garbage collection of the network deletes.
  if (failures.length === 0) cache.remove(cached(context, id, note));
  notes.delete(note.name);
}

/** What was cut short may be at work still: nothing of an attachment runs beside its DEL. */
async function endEarlier(
  { containerId, name, group }: NetworkNote,
  force: boolean,
): Promise<void> {
  if (group === undefined) return;
  if (await endWorkers({ containerId, ifName: name, group }) || force) return;
  throw new SandboxError("Timeout", {
    operation: `waiting for plugins that were killed at attachment ${name}`,
    timeoutMs: END_TIMEOUT_MS,
  });
}

/** Empty when it is gone: plugins take the path of anything else for a mistake. */
function liveNetns(context: NodeContext, id: string): string {
  const { state } = context;
  const record = state.readableSandbox(id);
  return record !== undefined && isAlive(context, record)
    ? state.pinPath(id)
    : "";
}

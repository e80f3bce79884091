/**
 * What makes a sandbox garbage.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import { hasLink, isAlive } from "../node/alive.ts";
import type { NodeContext } from "../node/context.ts";
import { hasNetworks } from "../records/network_notes.ts";
import type { SandboxRecord } from "../records/records.ts";

/** What another process does with one sandbox takes milliseconds. */
export const BUSY_MS = 1000;

/** The kernel takes 30 ms to destroy a namespace. */
export const SETTLE_MS = 400;
/** How long to wait before looking again. */
export const SETTLE_STEP_MS = 10;

/** Why a sandbox is not whole. */
export interface Fault {
  readonly kind: "pin" | "sandbox";
  readonly reason: string;
}

/**
 * Looks at a sandbox whose lock the caller holds.
 *
 * @param record undefined when it has none
 * @param deadline until when namespaces that lost their pin may go
 * @returns undefined when nothing is wrong with it
 */
export async function faultOf(
  context: NodeContext,
  id: string,
  record: SandboxRecord | undefined,
  deadline: number,
): Promise<Fault | undefined> {
  const { state } = context;
  if (record === undefined) {
    return state.hasPin(id)
      ? {
        kind: "pin",
        reason: `its creation was cut short: ${
          state.pinPath(id)
        } has no record`,
      }
      : { kind: "sandbox", reason: "its creation was cut short" };
  }
  if (record.state === "creating") {
    const reason = "its creation was cut short before it was ready";
    return { kind: "sandbox", reason };
  }
  if (isAlive(context, record)) return undefined;
  // Without its pin, but with a link, it is held by a process, or about to go.
  while (hasLink(context, record)) {
    if (performance.now() > deadline) return undefined;
    await new Promise((wake) => setTimeout(wake, SETTLE_STEP_MS));
  }
  return { kind: "sandbox", reason: "its network namespace is gone" };
}

/**
 * Has the plugins of sandboxes that are garbage take away what they made. What fails stays noted, for the next time.
 *
 * @param options `force`: also of those whose record cannot be read
 * @returns files of others that a killed process left while it wrote; they are removed, but in a dry run
 */
export async function releaseGarbage(
  context: NodeContext,
  { dryRun = false, force = false }: {
    readonly dryRun?: boolean;
    readonly force?: boolean;
  },
): Promise<string[]> {
  const { state } = context;
  const files: string[] = [];
  for (const id of state.sandboxIds()) {
    if (!hasNetworks(state, id)) continue;
    const found = dryRun
      ? undefined
      : await attachedGarbage(context, id, force);
    const { releaseOrLeave, tidyNotes } = await import("../upkeep.ts");
    if (found === undefined) files.push(...await tidyNotes(state, id, dryRun));
    else await releaseOrLeave(context, id, found);
  }
  return files;
}

async function attachedGarbage(
  context: NodeContext,
  id: string,
  force: boolean,
): Promise<{ readonly incarnation?: string } | undefined> {
  const { state } = context;
  try {
    using _node = await state.lock("shared");
    using lock = await state.lockSandbox(id, { timeoutMs: BUSY_MS });
    if (lock === undefined) return undefined;
    const record = state.readSandbox(id);
    const deadline = performance.now() + SETTLE_MS;
    if (await faultOf(context, id, record, deadline) === undefined) {
      return undefined;
    }
    return record === undefined ? {} : { incarnation: record.createdAt };
  } catch (error) {
    if (isSandboxError(error, "RecordInvalid") && force) return {};
    const isLeft = isSandboxError(error, "RecordInvalid") ||
      isSandboxError(error, "Timeout");
    if (!isLeft) throw error;
    return undefined;
  }
}

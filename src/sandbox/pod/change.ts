/**
 * Changing a sandbox that is ready.
 *
 * @module
 */
import { SandboxError } from "../../errors.ts";
import type { NodeContext } from "../node/context.ts";
import { explainRefusal } from "../node/permission.ts";
import { lockToChange } from "../records/lock_to_change.ts";
import type { LockedSandbox } from "../records/own_records.ts";
import type { SandboxRecord } from "../records/records.ts";

/**
 * Changes the sandbox of a record under its lock, whoever else is at it.
 *
 * @param change returns the record that it has kept; a promise if it has to wait, which is waited for under the lock
 * @returns that record
 * @throws {SandboxError} `NodeClosed`; `SandboxNotFound`, also when one of the same id was made since
 */
export async function changeSandbox(
  { state }: NodeContext,
  { id, createdAt, spec: { name, namespace } }: SandboxRecord,
  change: (record: SandboxRecord) => SandboxRecord | Promise<SandboxRecord>,
): Promise<SandboxRecord> {
  // `using` would cost 1 µs, and waiting for what is there another.
  let node: Disposable | undefined;
  let locked: LockedSandbox | undefined;
  try {
    state.refuseClosed();
    node = state.tryLock() ?? await state.lock("shared");
    locked = state.records.tryLock(id) ?? await lockToChange(state, id);
    const record = locked?.record;
    if (record?.state !== "ready" || record.createdAt !== createdAt) {
      throw new SandboxError("SandboxNotFound", { name, namespace });
    }
    // It may have been closed while others had the sandbox.
    state.refuseClosed();
    const changed = change(record);
    return changed instanceof Promise ? await changed : changed;
  } catch (error) {
    throw explainRefusal(error, state);
  } finally {
    locked?.[Symbol.dispose]();
    node?.[Symbol.dispose]();
  }
}

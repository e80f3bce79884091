/**
 * The lock of a sandbox that is to be changed.
 *
 * @module
 */
import { acquireLock, isStill } from "../../state/lock.ts";
import type { NodeState } from "./node_state.ts";
import { LockedSandbox } from "./own_records.ts";
import type { SandboxRecord } from "./records.ts";

/**
 * Locks a sandbox that has a directory, and reads its record; undefined when it has no directory.
 *
 * Where the record is what this process left there, the directory is the one that it left it in: 6 µs less.
 *
 * @param read how it is read if it is not what this process knows
 * @throws {SandboxError} as reading the record
 */
export async function lockToChange(
  state: NodeState,
  id: string,
  read: () => SandboxRecord | undefined = () => state.readSandbox(id),
): Promise<LockedSandbox | undefined> {
  let own: SandboxRecord | undefined;
  const lock = await acquireLock(state.sandboxDirectory(id), "exclusive", {
    isStill: (path, file) =>
      (own = state.records.findOwn(id)) !== undefined || isStill(path, file),
  });
  if (lock === undefined) return undefined;
  const unlock = () => state.records.release(id, lock);
  try {
    return new LockedSandbox(own ?? read(), lock, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

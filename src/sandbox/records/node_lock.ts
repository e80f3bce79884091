/**
 * The lock of a node that may be gone.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import type { LockMode } from "../../state/lock.ts";
import type { NodeState } from "./node_state.ts";

/** Undefined when the node was taken down, or its directory is lost: then there is nobody to be kept out. */
export async function lockUnlessGone(
  state: NodeState,
  mode: LockMode,
): Promise<Disposable | undefined> {
  try {
    return await state.lock(mode);
  } catch (error) {
    if (isSandboxError(error, "NodeNotFound")) return undefined;
    throw error;
  }
}

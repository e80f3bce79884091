/**
 * A node that was being set up or taken down when its process died.
 *
 * @module
 */
import type { NodeState } from "./node_state.ts";

/**
 * Removes what a process left that died before it had noted that there is a node, or after it had removed the note. In the
 * kernel there is nothing then: the note comes before and goes after all of it.
 *
 * @returns what was removed, in plain words
 */
export async function removeUnfinished(state: NodeState): Promise<string[]> {
  if (!state.hasDirectory()) return [];
  using _lock = await state.lockNew("exclusive");
  // With sandboxes in it, it is a node that has lost its note.
  if (state.exists() || state.sandboxIds().length > 0) return [];
  state.removeNode();
  return [`directory ${state.directory}`];
}

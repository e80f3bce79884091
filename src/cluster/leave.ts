/**
 * A node is taken out of its cluster by a process that does not keep it there.
 *
 * @module
 */
import { isSandboxError } from "../errors.ts";
import type { NodeRemoveOptions } from "../sandbox/node.ts";
import { NodeState } from "../sandbox/records/node_state.ts";
import { joinWith, kernelPaths } from "./join.ts";
import type { JoinOptions } from "./join_options.ts";

/** See `entry.ts`. */
export async function leaveCluster(
  options: JoinOptions & NodeRemoveOptions,
  makePaths = kernelPaths,
): Promise<readonly string[]> {
  const { force = false, ...joining } = options;
  try {
    await using cluster = await joinWith(makePaths, joining, {
      isToLeave: true,
    });
    return await cluster.leave({ force });
  } catch (error) {
    if (!isSandboxError(error, "NotInCluster")) throw error;
    const { stateDir, name } = error.context;
    // It has left before, or was never there.
    if (new NodeState(stateDir, name).readNode() === undefined) return [];
    throw error;
  }
}

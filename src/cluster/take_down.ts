/**
 * A node is taken down, whether it is of a cluster or not.
 *
 * @module
 */
import { hostName } from "../../ffi/process.ts";
import type { NodeRemoval, NodeRemoveOptions } from "../sandbox/node.ts";
import { removeNode } from "../sandbox/open_node.ts";
import { type NodeOptions, parseNodeOptions } from "../spec/node_options.ts";
import { ClusterNotes } from "./notes.ts";

/** See `entry.ts`. */
export async function takeNodeDown(
  options:
    & Pick<NodeOptions, "name" | "netns" | "stateDir">
    & NodeRemoveOptions = {},
): Promise<NodeRemoval> {
  const { force: _, ...reference } = options;
  const { stateDir, name } = parseNodeOptions(reference, hostName);
  const notes = new ClusterNotes(stateDir, name);
  if (!notes.exist()) return await removeNode(options);
  using _lock = await notes.lock();
  const removal = await removeNode(options);
  notes.remove();
  return removal;
}

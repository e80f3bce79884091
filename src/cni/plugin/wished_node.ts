/**
 * The node of a wish, which may be new.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import type { Node } from "../../sandbox/node.ts";
import { openNode } from "../../sandbox/open_node.ts";
import type { Wish } from "./wish.ts";

/** Opens it. A node that is new needs pod CIDRs for its own network alone. */
export async function openWished(
  { node, spec }: Pick<Wish, "node" | "spec">,
): Promise<Node> {
  try {
    return await openNode(node);
  } catch (error) {
    const isFine = isSandboxError(error, "NodeNotFound") &&
      spec.attachment?.type === "none";
    if (!isFine) throw error;
    return await openNode({ ...node, podCidrs: [] });
  }
}

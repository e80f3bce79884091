/**
 * `DEL`: takes an attachment away, whatever is left of it, as often as it is asked.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import type { Node } from "../../sandbox/node.ts";
import { openNode } from "../../sandbox/open_node.ts";
import { attachmentId } from "./attachment_id.ts";
import type { Invocation } from "./invocation.ts";
import { refuseOwnNamespace } from "./netns.ts";
import type { PluginRequest } from "../model/network.ts";
import { type NodeReference, readNodeReference } from "./settings.ts";

/** Takes the attachment away. Nothing of its result or namespace is needed: its sandbox is found by its key. */
export async function del(
  invocation: Invocation,
  request: PluginRequest,
): Promise<void> {
  refuseOwnNamespace(invocation);
  await using node = await openIfKnown(readNodeReference(request.raw));
  if (node === undefined) return;
  const { containerID, ifname } = invocation;
  await removeWhole(
    node,
    attachmentId({ network: request.name, containerID, ifname }),
  );
}

/** The node, unless nothing was ever made on it. Its settings may have changed since: those of ADD do not matter any more. */
export async function openIfKnown(
  reference: NodeReference,
): Promise<Node | undefined> {
  try {
    return await openNode(reference);
  } catch (error) {
    if (isSandboxError(error, "NodeNotFound")) return undefined;
    throw error;
  }
}

/** Removes a sandbox; a damaged record is set aside, and does not keep it from going. */
export async function removeWhole(node: Node, id: string): Promise<void> {
  try {
    await node.removeSandbox(id);
  } catch (error) {
    const isStuck = isSandboxError(error, "RecordInvalid") ||
      isSandboxError(error, "SandboxInUse");
    if (!isStuck) throw error;
    await node.removeSandbox(id, { force: true });
  }
}

/**
 * `GC`: takes away what of the network no valid attachment leads to.
 *
 * @module
 */
import type { Node } from "../../sandbox/node.ts";
import { CniError } from "../model/error.ts";
import type { Attachment, PluginRequest } from "../model/network.ts";
import { attachmentOf } from "../model/attachment_labels.ts";
import { openIfKnown, removeWhole } from "../../sandbox/adopted.ts";
import { failureOf } from "./failure.ts";
import { readNodeReference } from "./settings.ts";

/**
 * Collects garbage of one network; others', and sandboxes that no runtime of CNI made, stay. A list that is missing says
 * nothing about any attachment, an empty one that none is valid. What crashes left, which has no network, goes in either
 * case. An error does not keep the rest from going.
 */
export async function gc(request: PluginRequest): Promise<void> {
  await using node = await openIfKnown(readNodeReference(request.raw));
  if (node === undefined) return;
  const failures: CniError[] = [];
  const attempt = async (collect: () => Promise<unknown>) => {
    try {
      await collect();
    } catch (error) {
      failures.push(failureOf(error));
    }
  };
  const { name, validAttachments } = request;
  if (validAttachments !== undefined) {
    for (const id of await staleSandboxes(node, name, validAttachments)) {
      await attempt(() => removeWhole(node, id));
    }
  }
  await attempt(() => node.collectGarbage());
  const [first, ...others] = failures;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  throw new CniError(
    first.code,
    `${failures.length} things could not be collected: ${first.message}`,
    { details: failures.map(({ message }) => message).join("\n") },
  );
}

async function staleSandboxes(
  node: Node,
  network: string,
  valid: readonly Attachment[],
): Promise<string[]> {
  const kept = new Set(valid.map(keyOf));
  return (await node.listSandboxes()).flatMap(({ id, labels }) => {
    const attachment = attachmentOf(labels);
    return attachment?.network === network && !kept.has(keyOf(attachment))
      ? [id]
      : [];
  });
}

function keyOf({ containerID, ifname }: Attachment): string {
  return `${containerID}/${ifname}`;
}

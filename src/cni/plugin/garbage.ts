/**
 * `GC`: takes away what of the network no valid attachment leads to.
 *
 * @module
 */
import { isKeptFor } from "../../hostport/kept_sockets.ts";
import type { Node } from "../../sandbox/node.ts";
import { CniError } from "../model/error.ts";
import type { Attachment, PluginRequest } from "../model/network.ts";
import { attachmentOf } from "../model/attachment_labels.ts";
import { openIfKnown } from "../../sandbox/adopted.ts";
import { failureOf } from "./failure.ts";
import { readNodeReference } from "./settings.ts";
import { removeSharing } from "./shared_ports.ts";

/**
 * Collects garbage of one network; others', and sandboxes that no runtime of CNI made, stay. A list that is missing says
 * nothing about any attachment, an empty one that none is valid. What crashes left, which has no network, goes in either
 * case. An error does not keep the rest from going.
 */
export async function gc(request: PluginRequest): Promise<void> {
  // Known before the first port is handed on.
  const containerIDs = new Set<string>();
  await using node = await openIfKnown({
    ...readNodeReference(request.raw),
    mayShadow: isKeptFor(containerIDs),
  });
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
    const stale = await staleSandboxes(node, name, validAttachments);
    for (const { containerID } of stale) containerIDs.add(containerID);
    for (const { id, containerID } of stale) {
      await attempt(() => removeSharing(node, id, containerID));
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
): Promise<{ readonly id: string; readonly containerID: string }[]> {
  const kept = new Set(valid.map(keyOf));
  return (await node.listSandboxes()).flatMap(({ id, labels }) => {
    const attachment = attachmentOf(labels);
    return attachment?.network === network && !kept.has(keyOf(attachment))
      ? [{ id, containerID: attachment.containerID }]
      : [];
  });
}

function keyOf({ containerID, ifname }: Attachment): string {
  return `${containerID}/${ifname}`;
}

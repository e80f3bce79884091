/**
 * `DEL`: takes an attachment away, whatever is left of it, as often as it is asked.
 *
 * @module
 */
import { isKeptFor } from "../../hostport/kept_sockets.ts";
import { openIfKnown } from "../../sandbox/adopted.ts";
import { attachmentId } from "./attachment_id.ts";
import type { Invocation } from "./invocation.ts";
import { refuseOwnNamespace } from "./netns.ts";
import type { PluginRequest } from "../model/network.ts";
import { readNodeReference } from "./settings.ts";
import { removeSharing } from "./shared_ports.ts";

/** Takes the attachment away. Nothing of its result or namespace is needed: its sandbox is found by its key. */
export async function del(
  invocation: Invocation,
  request: PluginRequest,
): Promise<void> {
  refuseOwnNamespace(invocation);
  const { containerID, ifname } = invocation;
  // Its settings may have changed since: those of ADD do not matter any more.
  await using node = await openIfKnown({
    ...readNodeReference(request.raw),
    mayShadow: isKeptFor(new Set([containerID])),
  });
  if (node === undefined) return;
  const id = attachmentId({ network: request.name, containerID, ifname });
  await removeSharing(node, id, containerID);
}

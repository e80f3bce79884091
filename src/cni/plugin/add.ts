/**
 * `ADD`: makes the container's interface, with an address and host ports.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import { isKeptFor } from "../../hostport/kept_sockets.ts";
import { createAdopted } from "../../sandbox/adopted.ts";
import type { Node } from "../../sandbox/node.ts";
import { openNode } from "../../sandbox/open_node.ts";
import type { JsonObject } from "../model/json.ts";
import type { PluginRequest } from "../model/network.ts";
import { EMPTY_RESULT, parseResult } from "../model/result.ts";
import { resultDocument } from "../model/result_document.ts";
import { explained } from "./explain.ts";
import type { Invocation } from "./invocation.ts";
import { lookInto, refuseExisting } from "./netns.ts";
import { resultOf } from "./result.ts";
import { createSharing } from "./shared_ports.ts";
import { readWish, type Wish } from "./wish.ts";

/** Makes the attachment, or changes nothing. */
export async function add(
  invocation: Invocation,
  request: PluginRequest,
): Promise<JsonObject> {
  const { prevResult } = request;
  const before = prevResult === undefined
    ? EMPTY_RESULT
    : parseResult(prevResult);
  const container = lookInto(invocation);
  refuseExisting(invocation, container);
  const read = () => readWish(invocation, request, container);
  return await explained(read, async () => {
    const wish = read();
    await using node = await openWished({
      ...wish,
      node: { ...wish.node, mayShadow: isKeptFor(invocation.containerID) },
    });
    const sandbox = await createAdopted(
      node,
      wish.spec,
      container.id,
      (spec) => createSharing(node, spec),
    );
    return resultDocument(
      resultOf(invocation, before, node, sandbox, wish.dns),
      request.cniVersion,
    );
  });
}

/** A node that is new needs pod CIDRs for its own network alone. */
async function openWished({ node, spec }: Wish): Promise<Node> {
  try {
    return await openNode(node);
  } catch (error) {
    const isFine = isSandboxError(error, "NodeNotFound") &&
      spec.attachment?.type === "none";
    if (!isFine) throw error;
    return await openNode({ ...node, podCidrs: [] });
  }
}

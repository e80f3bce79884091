/**
 * `ADD`: makes the container's interface, with an address and host ports.
 *
 * @module
 */
import { isSandboxError, type SandboxError } from "../../errors.ts";
import type { PortMapping } from "../../hostport/mapping.ts";
import { createAdopted } from "../../sandbox/adopted.ts";
import type { Node } from "../../sandbox/node.ts";
import { openNode } from "../../sandbox/open_node.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import type { JsonObject } from "../model/json.ts";
import type { PluginRequest } from "../model/network.ts";
import { EMPTY_RESULT, parseResult } from "../model/result.ts";
import { resultDocument } from "../model/result_document.ts";
import { attachmentOf } from "./attachment_id.ts";
import { explained } from "./explain.ts";
import type { Invocation } from "./invocation.ts";
import { lookInto, refuseExisting } from "./netns.ts";
import { resultOf } from "./result.ts";
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
    await using node = await openNode(wish.node);
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

/**
 * A runtime asks for the container's host ports on every network of it. The first one has them; the others go without,
 * since they lead to the same container.
 */
async function createSharing(
  node: Node,
  spec: Wish["spec"],
): Promise<Sandbox> {
  try {
    return await node.createSandbox(spec);
  } catch (error) {
    if (!isSandboxError(error, "HostPortInUse")) throw error;
    const ports = await portsWithout(node, spec, error);
    return await node.createSandbox({ ...spec, ports });
  }
}

async function portsWithout(
  node: Node,
  { id, labels, ports = [] }: Wish["spec"],
  error: SandboxError,
): Promise<readonly PortMapping[]> {
  const container = attachmentOf(labels)?.containerID;
  const siblings = (await node.listSandboxes()).filter((one) =>
    one.id !== id && attachmentOf(one.labels)?.containerID === container
  );
  const theirs = new Set(
    siblings.flatMap((one) => one.ports ?? []).map(keyOf),
  );
  const left = ports.filter((port) => !theirs.has(keyOf(port)));
  if (left.length === ports.length) throw error;
  return left;
}

function keyOf({ protocol, hostIP, hostPort, containerPort }: PortMapping) {
  return `${protocol} ${hostIP} ${hostPort} ${containerPort}`;
}

/**
 * `ADD`: makes the container's interface, with an address and host ports.
 *
 * @module
 */
import { isKeptFor } from "../../hostport/kept_sockets.ts";
import { createAdopted } from "../../sandbox/adopted.ts";
import type { JsonObject } from "../model/json.ts";
import type { PluginRequest } from "../model/network.ts";
import { type CniResult, EMPTY_RESULT, parseResult } from "../model/result.ts";
import { resultDocument } from "../model/result_document.ts";
import { isAtLeast } from "../model/version.ts";
import { explained } from "./explain.ts";
import { invalidConfig } from "./failure.ts";
import type { Invocation } from "./invocation.ts";
import { lookInto, refuseExisting } from "./netns.ts";
import { resultOf } from "./result.ts";
import { createSharing } from "./shared_ports.ts";
import { addressesOf, readWish, specOn, type Wish } from "./wish.ts";
import { openWished } from "./wished_node.ts";

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
    requireAddress(request, before, wish);
    await using node = await openWished({
      ...wish,
      node: {
        ...wish.node,
        mayShadow: isKeptFor(new Set([invocation.containerID])),
      },
    });
    const sandbox = await createAdopted(
      node,
      specOn(wish, node.podCidrs),
      (spec) => createSharing(node, spec),
    );
    return resultDocument(
      resultOf(invocation, before, node, sandbox, wish.dns),
      request.cniVersion,
    );
  });
}

/** A result of an old version has an address, and an interface on a network of others may have none. */
function requireAddress(
  { cniVersion }: PluginRequest,
  before: CniResult,
  { spec: { interfaces = [] } }: Wish,
): void {
  const hasNone = before.ips.length === 0 && interfaces.length > 0 &&
    interfaces.every((own) => addressesOf(own).length === 0);
  if (!hasNone || isAtLeast(cniVersion, "0.3.0")) return;
  throw invalidConfig([{
    path: "cniVersion",
    message:
      `write 0.3.0 or later, or give an address by ipam: a result of version ${cniVersion} needs one`,
  }]);
}

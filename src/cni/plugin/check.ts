/**
 * `CHECK`: whether what ADD made is still there and works.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { IpAddress } from "../../net/ip.ts";
import type { Finding } from "../../sandbox/node/finding.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import { CniError, CniErrorCode } from "../model/error.ts";
import type { PluginRequest } from "../model/network.ts";
import { type CniResult, parseResult } from "../model/result.ts";
import { attachmentId } from "./attachment_id.ts";
import { openIfKnown } from "../../sandbox/adopted.ts";
import { PluginErrorCode } from "./failure.ts";
import type { Invocation } from "./invocation.ts";
import { type ContainerNamespace, lookInto } from "./netns.ts";
import { readNodeReference } from "./settings.ts";

/**
 * Looks at the container's link, addresses and routes, the node's end of them, its rules and the container's host ports.
 * What later plugins added or adjusted is theirs.
 *
 * @throws {CniError} 104 with every difference in the details
 */
export async function check(
  invocation: Invocation,
  request: PluginRequest,
): Promise<void> {
  if (request.prevResult === undefined) {
    throw new CniError(
      CniErrorCode.INVALID_NETWORK_CONFIG,
      "prevResult is missing: CHECK compares with the result of ADD",
    );
  }
  const result = parseResult(request.prevResult);
  const container = lookInto(invocation);
  const { containerID, ifname } = invocation;
  const key = { network: request.name, containerID, ifname };
  await using node = await openIfKnown(readNodeReference(request.raw));
  let sandbox: Sandbox;
  try {
    if (node === undefined) throw differs(["the node is gone"]);
    sandbox = await node.openSandbox(attachmentId(key));
  } catch (error) {
    if (!isSandboxError(error, "SandboxNotFound")) throw error;
    throw differs(["nothing of it is left: DEL it, and ADD it again"]);
  }
  const differences = [
    ...resultDifferences(invocation, result, sandbox, container),
    ...(await sandbox.check()).filter((finding) => !isOfLaterPlugin(finding))
      .map(({ object, problem, remedy }) => `${object} ${problem}: ${remedy}`),
  ];
  if (differences.length > 0) throw differs(differences);
}

/** How the runtime's idea of the attachment differs from podnet's. */
function* resultDifferences(
  { netns, ifname }: Invocation,
  { interfaces, ips }: CniResult,
  sandbox: Sandbox,
  container: ContainerNamespace,
): Generator<string> {
  const pinned = pinnedNamespace(sandbox);
  if (pinned !== undefined && pinned !== container.id) {
    yield `CNI_NETNS ${netns} is ${container.id}, and the attachment is in ${pinned}`;
  }
  if (!interfaces.some(({ name, sandbox }) => name === ifname && sandbox)) {
    yield `prevResult has no interface ${ifname} in the container`;
  }
  const told = ips.map(({ address }) => canonical(address));
  const addresses = [
    ...sandbox.addresses,
    ...sandbox.interfaces.flatMap(({ addresses }) => addresses.map(canonical)),
  ];
  for (const address of addresses) {
    if (!told.includes(address)) yield `prevResult lacks ${address}`;
  }
}

/** Undefined when it is not pinned any more, of which the sandbox's own check tells. */
function pinnedNamespace({ netnsPath }: Sandbox): string | undefined {
  try {
    using pinned = NetworkNamespace.open(netnsPath);
    return pinned.id;
  } catch (error) {
    if (isSandboxError(error, "InvalidNamespace")) return undefined;
    throw error;
  }
}

/** What tuning and bandwidth do to an interface of others, which works all the same. */
function isOfLaterPlugin({ object, problem }: Finding): boolean {
  return object.startsWith("pod's link ") && problem.startsWith("has MTU ") ||
    object.startsWith("bandwidth ") && problem === "is limited";
}

/** An address without its prefix length. */
function canonical(address: string): string {
  return String(IpAddress.parse(address.replace(/\/.*/, "")));
}

function differs(differences: readonly string[]): CniError {
  const [first = "", ...others] = differences;
  return new CniError(
    PluginErrorCode.DIFFERS,
    `the attachment is not as ADD made it: ${first}${
      others.length > 0 ? `, and ${others.length} more` : ""
    }`,
    { details: differences.join("\n") },
  );
}

/**
 * The host ports of a container that is on several networks.
 *
 * A runtime asks for them on every one of its networks. The first one has them; the others go without, since they lead to
 * the same container, and note which they would have. When the first one is taken away, the next one gets them.
 *
 * @module
 */
import { isSandboxError, type SandboxError } from "../../errors.ts";
import type { PortMapping } from "../../hostport/mapping.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { removeWhole } from "../../sandbox/adopted.ts";
import type { SandboxSummary } from "../../sandbox/pod/description.ts";
import type { Node } from "../../sandbox/node.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import { attachmentOf } from "../model/attachment_labels.ts";
import { linkNames } from "./netns.ts";
import type { Wish } from "./wish.ts";

/** The label with the ports that a sandbox goes without: the mappings as JSON. */
const WITHOUT = "cni.portsOfAnotherNetwork";

/** Creates a sandbox, without the ports that another network of the container has. */
export async function createSharing(
  node: Node,
  spec: Wish["spec"],
): Promise<Sandbox> {
  try {
    return await node.createSandbox(spec);
  } catch (error) {
    if (!isSandboxError(error, "HostPortInUse")) throw error;
    const { own, theirs } = await dividedPorts(node, spec, error);
    return await node.createSandbox({
      ...spec,
      ports: own,
      labels: { ...spec.labels, [WITHOUT]: JSON.stringify(theirs) },
    });
  }
}

async function dividedPorts(
  node: Node,
  { id, labels, ports = [] }: Wish["spec"],
  error: SandboxError,
): Promise<Record<"own" | "theirs", readonly PortMapping[]>> {
  const container = attachmentOf(labels)?.containerID;
  const siblings = (await attachmentsOf(node, container))
    .filter((one) => one.id !== id);
  const taken = new Set(siblings.flatMap((one) => one.ports ?? []).map(keyOf));
  const { own = [], theirs = [] } = Object.groupBy(
    ports,
    (port) => taken.has(keyOf(port)) ? "theirs" : "own",
  );
  if (theirs.length === 0) throw error;
  return { own, theirs };
}

/** Removes the sandbox of a container's attachment; the container's others get the ports that they went without for its sake. */
export async function removeSharing(
  node: Node,
  id: string,
  containerID: string,
): Promise<void> {
  const ports = await portsForOthers(node, id);
  await removeWhole(node, id);
  await handOver(node, containerID, ports);
}

/** The ports of an attachment that others of its container may want; none when it is the only one. */
async function portsForOthers(
  node: Node,
  id: string,
): Promise<readonly PortMapping[]> {
  try {
    const sandbox = await node.openSandbox(id);
    // What the container's namespace has is known at once, which sandboxes there are only after reading all of them.
    using namespace = NetworkNamespace.open(sandbox.netnsPath);
    const others = linkNames(namespace).filter((name) =>
      name !== "lo" && name !== sandbox.interfaceName
    );
    return others.length === 0 ? [] : sandbox.ports;
  } catch (error) {
    const isGone = isSandboxError(error, "SandboxNotFound") ||
      isSandboxError(error, "RecordInvalid") ||
      isSandboxError(error, "InvalidNamespace");
    if (isGone) return [];
    throw error;
  }
}

/** Gives ports that an attachment had to those of its container's others that went without. */
async function handOver(
  node: Node,
  containerID: string,
  ports: readonly PortMapping[],
): Promise<void> {
  if (ports.length === 0) return;
  const free = new Set(ports.map(keyOf));
  for (const { id, labels } of await attachmentsOf(node, containerID)) {
    const wanted = wentWithout(labels).filter((port) => free.has(keyOf(port)));
    if (wanted.length === 0) continue;
    try {
      await (await node.openSandbox(id)).addPorts(wanted);
    } catch (error) {
      // It is being taken away as well, or somebody was faster.
      const isLate = isSandboxError(error, "SandboxNotFound") ||
        isSandboxError(error, "HostPortInUse");
      if (!isLate) throw error;
      continue;
    }
    for (const port of wanted) free.delete(keyOf(port));
  }
}

async function attachmentsOf(
  node: Node,
  containerID: string | undefined,
): Promise<SandboxSummary[]> {
  return (await node.listSandboxes()).filter(({ labels }) =>
    attachmentOf(labels)?.containerID === containerID
  );
}

function wentWithout(labels: SandboxSummary["labels"]): PortMapping[] {
  return JSON.parse(labels?.[WITHOUT] ?? "[]");
}

function keyOf({ protocol, hostIP, hostPort, containerPort }: PortMapping) {
  return `${protocol} ${hostIP} ${hostPort} ${containerPort}`;
}

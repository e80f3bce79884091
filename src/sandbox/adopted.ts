/**
 * Sandboxes in namespaces that a runtime made, who names them by ids of its own, forgets some, and asks for others to be
 * removed that never were.
 *
 * @module
 */
import { isSandboxError } from "../errors.ts";
import type { NodeOptions } from "../spec/node_options.ts";
import { parseSandboxSpec } from "../spec/parse.ts";
import type { SandboxSpec } from "../spec/sandbox_spec.ts";
import { contextOf, type Node } from "./node.ts";
import { openNode } from "./open_node.ts";
import type { Sandbox } from "./sandbox.ts";

/** A spec whose id follows from what the runtime calls it. */
export type IdentifiedSpec = SandboxSpec & { readonly id: string };

/** The node, unless nothing was ever made on it. */
export async function openIfKnown(
  reference: Pick<NodeOptions, "name" | "stateDir" | "netns" | "mayShadow">,
): Promise<Node | undefined> {
  try {
    return await openNode(reference);
  } catch (error) {
    if (isSandboxError(error, "NodeNotFound")) return undefined;
    throw error;
  }
}

/**
 * Refuses a spec of which no sandbox could be created on the node, as far as that is known before anything is made: by its
 * fields, and by the node's links that its interfaces are to be made from.
 *
 * @throws {SandboxError} `InvalidSpec`
 */
export async function refuseImpossible(
  node: Node,
  spec: SandboxSpec,
): Promise<void> {
  const context = contextOf(node);
  const podCidrs = context.pools.map(({ cidr }) => cidr);
  const { interfaces } = parseSandboxSpec(spec, { podCidrs });
  const { requireLinks } = await import("./upkeep.ts");
  requireLinks(context, interfaces);
}

/** Removes a sandbox; a damaged record is set aside, and does not keep it from going. */
export async function removeWhole(node: Node, id: string): Promise<void> {
  try {
    await node.removeSandbox(id);
  } catch (error) {
    const isStuck = isSandboxError(error, "RecordInvalid") ||
      isSandboxError(error, "DeviceLost") ||
      isSandboxError(error, "SandboxInUse");
    if (!isStuck) throw error;
    await node.removeSandbox(id, { force: true });
  }
}

/**
 * Creates a sandbox in a namespace. One of this id that is there already, in another one or another in any way, was never
 * removed: it goes first.
 *
 * @param make makes it, whatever it does besides
 */
export async function createAdopted(
  node: Node,
  spec: IdentifiedSpec,
  make: (spec: IdentifiedSpec) => Promise<Sandbox> = (spec) =>
    node.createSandbox(spec),
): Promise<Sandbox> {
  try {
    return await make(spec);
  } catch (error) {
    const isOld = isSandboxError(error, "SandboxConflict") ||
      isSandboxError(error, "RecordInvalid");
    if (!isOld) throw error;
  }
  await removeWhole(node, spec.id);
  return await make(spec);
}

/**
 * The node that an installed program is to open: said in full, so that another host name some day does not mean another one.
 *
 * @module
 */
import { hostName } from "../../ffi/process.ts";
import { type NodeOptions, parseNodeOptions } from "../spec/node_options.ts";

/** The node that a program is to open. */
export interface NodeChoice {
  /** Its name. */
  readonly node: string;
  /** Missing for the usual one. */
  readonly stateDir?: string;
  /** None for a node that is set up already. */
  readonly podCidrs: readonly string[];
}

/**
 * Checks what a program is to be told of its node; touches nothing.
 *
 * @throws {SandboxError} `InvalidSpec`
 */
export function chooseNode(
  selection: Pick<NodeOptions, "name" | "stateDir">,
  podCidrs: readonly string[],
): NodeChoice {
  const { name, stateDir } = parseNodeOptions({
    ...selection,
    ...podCidrs.length > 0 && { podCidrs },
  }, hostName);
  return {
    node: name,
    ...selection.stateDir !== undefined && { stateDir },
    podCidrs,
  };
}

/**
 * What a runtime asks of plugins, and what it tells each of them in its environment.
 * @module
 */

import { formatArguments } from "../model/arguments.ts";

/** `CNI_COMMAND`. */
export type CniCommand = "ADD" | "CHECK" | "DEL" | "GC" | "STATUS" | "VERSION";

/** The interface of a container that plugins make and take away. */
export interface ContainerInterface {
  /** `CNI_CONTAINERID`. */
  readonly containerId: string;
  /** `CNI_NETNS`, a path; empty for DEL when there is none any more. */
  readonly netns: string;
  /** `CNI_IFNAME`. */
  readonly ifName: string;
  /** The pairs of `CNI_ARGS`. */
  readonly args: readonly (readonly [string, string])[];
}

/** What commands that are of no container have in its place. */
export const NO_INTERFACE: ContainerInterface = {
  containerId: "",
  netns: "",
  ifName: "",
  args: [],
};

/** The variables of one run. All of them, always: the program's own environment may have some. */
export function variables(
  command: CniCommand,
  { containerId, netns, ifName, args }: ContainerInterface,
  pluginDirs: readonly string[],
): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: ifName,
    CNI_ARGS: formatArguments(args),
    CNI_PATH: pluginDirs.join(":"),
  };
}

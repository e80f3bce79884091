/**
 * The network configuration that makes runtimes use podnet.
 *
 * @module
 */
import type { NodeChoice } from "../../install/node_choice.ts";
import type { ProgramKind } from "../../install/program.ts";

/** What the configuration says. */
export interface ConflistOptions extends NodeChoice {
  /** Name of the network. */
  readonly network: string;
}

/** The name of the plugin's executable. */
export const PLUGIN_TYPE = "podnet";

/** The file's text. */
export function conflistText(
  { network, node, stateDir, podCidrs }: ConflistOptions,
): string {
  const plugin = {
    type: PLUGIN_TYPE,
    node,
    ...stateDir !== undefined && { stateDir },
    ...podCidrs.length > 0 && { podCidrs },
    capabilities: Object.fromEntries(CAPABILITIES.map((name) => [name, true])),
  };
  const list = {
    // What every runtime in use understands; newer ones take the highest of the list.
    cniVersion: "1.0.0",
    cniVersions: ["1.0.0", "1.1.0"],
    name: network,
    plugins: [plugin],
  };
  return `${JSON.stringify(list, null, 2)}\n`;
}

/** What the plugin wants to be told of containers. */
const CAPABILITIES: readonly string[] = [
  "portMappings",
  "ips",
  "mac",
  "bandwidth",
  "dns",
  "aliases",
  "cgroupPath",
];

/** What a network whose only plugin is podnet says to it; undefined when the file of this text has none. */
function ownPlugin(text: string): Record<string, unknown> | undefined {
  try {
    const { plugins } = JSON.parse(text);
    return Array.isArray(plugins) && plugins.length === 1 &&
        plugins[0]?.type === PLUGIN_TYPE
      ? plugins[0]
      : undefined;
  } catch {
    return undefined;
  }
}

/** The plugin as a program that is installed. */
export const CNI_PLUGIN: ProgramKind = {
  title: "podnet's CNI plugin",
  command: "podnet cni",
  permissions: ["--allow-env=CNI_*"],
  words: [],
  isOwnConfiguration: (text) => ownPlugin(text) !== undefined,
  stateDirOf: (text) => {
    const stateDir = ownPlugin(text)?.["stateDir"];
    return typeof stateDir === "string" ? stateDir : undefined;
  },
};

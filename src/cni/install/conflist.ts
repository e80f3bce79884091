/**
 * The network configuration that makes runtimes use podnet.
 *
 * @module
 */
import { completed, configurationText } from "../../install/configuration.ts";
import type { NodeChoice } from "../../install/node_choice.ts";
import type { ProgramKind } from "../../install/program.ts";

/** What the configuration says. */
export interface ConflistOptions extends NodeChoice {
  /** Name of the network. */
  readonly network: string;
}

/** The name of the plugin's executable. */
export const PLUGIN_TYPE = "podnet";

/**
 * The file's text. What stands in a file of podnet's that is there stays, but for what is said now; what it lacks is added. When
 * nothing changes it is the very text.
 *
 * @param usual what a file says of which nobody says anything
 * @param before the text of the file that is there
 */
export function conflistText(
  usual: Pick<ConflistOptions, "network" | "node">,
  { network, ...said }: Partial<ConflistOptions>,
  before?: string,
): string {
  const there = before === undefined ? {} : JSON.parse(before);
  const own = before === undefined ? {} : ownPlugin(before) ?? {};
  const plugin = {
    ...completed(own, { type: PLUGIN_TYPE, node: usual.node }),
    ...said,
    capabilities: completed(
      Object(own["capabilities"]),
      Object.fromEntries(CAPABILITIES.map((name) => [name, true])),
    ),
  };
  const list = {
    ...completed(there, {
      // What every runtime in use understands; newer ones take the highest of the list.
      cniVersion: "1.0.0",
      cniVersions: ["1.0.0", "1.1.0"],
      name: usual.network,
    }),
    ...network !== undefined && { name: network },
    plugins: [plugin],
  };
  return configurationText(list, before);
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

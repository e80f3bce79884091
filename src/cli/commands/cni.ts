/**
 * `podnet cni install` and `podnet cni uninstall`
 *
 * @module
 */
import type { ProgramPaths } from "../../install/program.ts";
import { defineCommand } from "../command.ts";
import type { OptionTable, OptionValues } from "../options.ts";
import { printFailure } from "../output.ts";
import {
  defineUninstall,
  denoOption,
  denoPath,
  directoryOf,
  INSTALLED,
  libraryOptions,
  libraryPaths,
} from "../program_options.ts";
import { nodeSelection } from "../session.ts";
import { UsageError } from "../usage.ts";

const directories = {
  "bin-dir": {
    value: "DIR",
    help: "Where runtimes look for plugins (default: /opt/cni/bin)",
  },
  "conf-dir": {
    value: "DIR",
    help: "Where runtimes look for networks (default: /etc/cni/net.d)",
  },
  ...libraryOptions("podnet-cni"),
} as const satisfies OptionTable;

/** What runtimes take for networks. */
const NETWORKS = /\.(?:conf|conflist|json)$/;

/** Installs the plugin. */
export const cniInstall = defineCommand({
  operands: [],
  options: {
    "pod-cidr": {
      value: "CIDR",
      repeatable: true,
      field: "podCidrs",
      help:
        "The node's pod network, one a family; not needed for a node that is set up",
    },
    "network": {
      value: "NAME",
      help: "The name of the network (default: podnet)",
    },
    ...denoOption,
    ...directories,
  },
  notes: [
    INSTALLED,
    "What stands in the configuration stays, but for what options say.",
    "Runtimes that read the configuration directory use podnet from then on; see docs/cni-plugin.md.",
  ],
  examples: [
    "podnet cni install --pod-cidr 10.244.1.0/24 --pod-cidr fd00:10:244:1::/64",
    "podnet cni install --bin-dir /usr/lib/cni --pod-cidr 10.244.1.0/24",
  ],
  async run({ options, global }) {
    const { CNI_PLUGIN, conflistText } = await import(
      "../../cni/install/conflist.ts"
    );
    const { chooseNode } = await import("../../install/node_choice.ts");
    const { filesInFront } = await import("../../install/in_front.ts");
    const { install } = await import("../program_setup.ts");
    const paths = pluginPaths(options);
    const network = networkName(options.network);
    const { node, stateDir, podCidrs } = chooseNode(
      nodeSelection(global),
      options["pod-cidr"],
    );
    const said = {
      ...options.network !== undefined && { network },
      ...global.node !== undefined && { node },
      ...stateDir !== undefined && { stateDir },
      ...podCidrs.length > 0 && { podCidrs },
    };
    await install(CNI_PLUGIN, paths, {
      entries: ["cni_plugin"],
      deno: denoPath(options),
      configuration: (before) => conflistText({ network, node }, said, before),
      trial: [],
    });
    for (const path of filesInFront(paths.configuration, NETWORKS)) {
      printFailure(
        `${path} comes before podnet's file: containerd and CRI-O use that network until it is moved away`,
      );
    }
    return 0;
  },
});

/** Takes the plugin away. */
export const cniUninstall = defineUninstall({
  program: "the plugin",
  directories,
  paths: pluginPaths,
  examples: [
    "podnet cni uninstall",
    "podnet cni uninstall --bin-dir /usr/lib/cni",
  ],
  async load() {
    const { CNI_PLUGIN } = await import("../../cni/install/conflist.ts");
    const { attachmentOf } = await import(
      "../../cni/model/attachment_labels.ts"
    );
    return {
      kind: CNI_PLUGIN,
      isIts: (labels) => attachmentOf(labels) !== undefined,
    };
  },
});

function pluginPaths(options: OptionValues<typeof directories>) {
  const binDir = directoryOf(options, "bin-dir", "/opt/cni/bin");
  const confDir = directoryOf(options, "conf-dir", "/etc/cni/net.d");
  return {
    launcher: `${binDir}/podnet`,
    configuration: `${confDir}/10-podnet.conflist`,
    ...libraryPaths(options, "podnet-cni"),
  } satisfies ProgramPaths;
}

function networkName(name = "podnet"): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return name;
  throw new UsageError(
    `--network ${
      JSON.stringify(name)
    } is no name of a network: write letters, digits, "_", "." and "-"`,
  );
}

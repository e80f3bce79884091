/**
 * `podnet cni install` and `podnet cni uninstall`
 *
 * @module
 */
import type { PluginPaths } from "../../cni/install/install.ts";
import { defineCommand } from "../command.ts";
import type { GlobalValues, OptionTable, OptionValues } from "../options.ts";
import { print } from "../output.ts";
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
  "lib-dir": {
    value: "DIR",
    help: "Where the plugin's modules go (default: /usr/local/lib/podnet-cni)",
  },
  "cache-dir": {
    value: "DIR",
    help:
      "Where Deno keeps the plugin's code compiled (default: /var/cache/podnet-cni)",
  },
} as const satisfies OptionTable;

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
    "deno": {
      value: "PATH",
      help: "The Deno that runs the plugin (default: the one that runs podnet)",
    },
    ...directories,
  },
  notes: [
    "Prints the files that it wrote: nothing when all of them are as they should be.",
    "Runtimes that read the configuration directory use podnet from then on; see docs/cni.md.",
  ],
  examples: [
    "podnet cni install --pod-cidr 10.244.1.0/24 --pod-cidr fd00:10:244:1::/64",
    "podnet cni install --bin-dir /usr/lib/cni --pod-cidr 10.244.1.0/24",
  ],
  async run({ options, global }) {
    const { install } = await import("../cni_setup.ts");
    const written = await install(pluginPaths(options), {
      deno: options.deno === undefined
        ? Deno.execPath()
        : absolute("deno", options.deno),
      network: networkName(options.network),
      selection: nodeSelection(global),
      podCidrs: options["pod-cidr"],
    });
    for (const path of written) print(path);
    return 0;
  },
});

/** Takes the plugin away. */
export const cniUninstall = defineCommand({
  operands: [],
  options: {
    "force": {
      short: "f",
      help: "Also while containers have their network from the plugin",
    },
    ...directories,
  },
  notes: [
    "Prints what it removed. The node stays; podnet node down takes it away.",
  ],
  examples: [
    "podnet cni uninstall",
    "podnet cni uninstall --bin-dir /usr/lib/cni",
  ],
  async run({ options, global }) {
    const { uninstallPlugin } = await import("../../cni/install/install.ts");
    const paths = pluginPaths(options);
    if (!options.force) await refuseWhileUsed(global);
    for (const path of uninstallPlugin(paths)) print(path);
    return 0;
  },
});

function pluginPaths(options: OptionValues<typeof directories>): PluginPaths {
  const directory = (name: keyof typeof directories, otherwise: string) =>
    absolute(name, options[name] ?? otherwise).replace(/(?<=.)\/+$/, "");
  return {
    launcher: `${directory("bin-dir", "/opt/cni/bin")}/podnet`,
    conflist: `${directory("conf-dir", "/etc/cni/net.d")}/10-podnet.conflist`,
    library: directory("lib-dir", "/usr/local/lib/podnet-cni"),
    cache: directory("cache-dir", "/var/cache/podnet-cni"),
  };
}

/** Runtimes start the plugin in directories of their own. */
function absolute(option: string, path: string): string {
  if (path.startsWith("/")) return path;
  throw new UsageError(
    `--${option} ${
      JSON.stringify(path)
    } is no absolute path: write one that begins with "/"`,
  );
}

function networkName(name = "podnet"): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return name;
  throw new UsageError(
    `--network ${
      JSON.stringify(name)
    } is no name of a network: write letters, digits, "_", "." and "-"`,
  );
}

async function refuseWhileUsed(global: GlobalValues): Promise<void> {
  const { isSandboxError, openNode } = await import("../../../mod.ts");
  const { attachmentOf } = await import("../../cni/plugin/attachment_id.ts");
  try {
    await using node = await openNode(nodeSelection(global));
    const attached = (await node.listSandboxes()).filter(({ labels }) =>
      attachmentOf(labels) !== undefined
    ).length;
    if (attached === 0) {
      return;
    }
    throw new UsageError(
      `${attached} ${
        attached === 1 ? "container has its" : "containers have their"
      } network from the plugin: remove ${
        attached === 1 ? "it" : "them"
      } first, or uninstall with --force`,
    );
  } catch (error) {
    if (!isSandboxError(error, "NodeNotFound")) throw error;
  }
}

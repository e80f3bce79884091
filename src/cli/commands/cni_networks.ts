/**
 * `podnet cni add`, `podnet cni del`, `podnet cni check`, `podnet cni gc` and `podnet cni status`
 *
 * @module
 */
import type { JsonObject, NetworkSpec } from "../../../mod.ts";
import { defineCommand, type Operand } from "../command.ts";
import { addressesOfAttachment } from "../describe.ts";
import {
  namespaceOption,
  type OptionTable,
  type OptionValues,
  outputOption,
  quote,
} from "../options.ts";
import { isJson, printJson, printRows } from "../output.ts";
import { pairs } from "../sandbox_options.ts";
import { openNode, openSandbox } from "../session.ts";
import { UsageError } from "../usage.ts";

const NETWORK: Operand = { name: "NETWORK" };
const SANDBOX: Operand = { name: "NAME", completes: "sandboxes" };

const networkOptions = {
  "conf-dir": {
    value: "DIR",
    help: "Where networks are (default: /etc/cni/net.d)",
  },
  "plugin-dir": {
    value: "DIR",
    repeatable: true,
    field: "pluginDirs",
    help:
      "Where plugins are (default: those of CNI_PATH, else /opt/cni/bin and /usr/lib/cni)",
  },
  "cache-dir": {
    value: "DIR",
    field: "cacheDir",
    help: "Where attachments are noted (default: /var/lib/cni)",
  },
  "timeout": {
    value: "SECONDS",
    help: "When a plugin that hangs is killed (default: 60)",
  },
} as const satisfies OptionTable;

const NETWORK_NOTE =
  "NETWORK is the name of a network in the directory, or the path of a file.";

/** Attaches a sandbox. */
export const cniAdd = defineCommand({
  operands: [SANDBOX, NETWORK],
  options: {
    ...namespaceOption,
    "ifname": {
      value: "NAME",
      field: "name",
      help:
        "Name of the interface in the pod (default: the first of net1, net2, … that is free)",
    },
    "arg": {
      value: "KEY=VALUE",
      repeatable: true,
      field: "args",
      help: "What plugins find in CNI_ARGS",
    },
    "runtime-config": {
      value: "JSON",
      field: "runtimeConfig",
      help: "What plugins that have the capability are told of the pod",
    },
    ...networkOptions,
    ...outputOption,
  },
  notes: [
    NETWORK_NOTE,
    "Doing it again with the same network does nothing. podnet rm detaches the sandbox first.",
  ],
  examples: [
    "podnet cni add web lan",
    `podnet cni add web ./lan.conflist --ifname lan0 --runtime-config '{"mac":"02:00:00:00:00:01"}'`,
  ],
  async run({ operands: [name = "", network = ""], options, global }) {
    const spec = await networkSpec(network, options);
    const { ifname, arg, "runtime-config": json } = options;
    await using node = await openNode(global);
    await using sandbox = await openSandbox(node, name, options);
    const attachment = await sandbox.attach({
      ...spec,
      args: pairs("arg", arg),
      ...ifname === undefined ? {} : { name: ifname },
      ...json === undefined ? {} : { runtimeConfig: parseJson(json) },
    });
    if (isJson(options)) printJson(attachment);
    else {
      printRows([attachment], [
        ["INTERFACE", ({ name }) => name],
        ["NETWORK", ({ network }) => network],
        ["ADDRESSES", (one) => addressesOfAttachment(one).join(" ")],
      ], false);
    }
    return 0;
  },
});

/** Detaches a sandbox. */
export const cniDel = defineCommand({
  operands: [SANDBOX, { name: "INTERFACE" }],
  options: {
    ...namespaceOption,
    "force": {
      short: "f",
      help:
        "Detach it also when plugins fail: what they keep is left to podnet cni gc",
    },
  },
  notes: ["An interface that is not there is no error."],
  examples: ["podnet cni del web net1"],
  async run({ operands: [name = "", own = ""], options, global }) {
    await using node = await openNode(global);
    await using sandbox = await openSandbox(node, name, options);
    // Interfaces that podnet made itself are none of this command's.
    if (sandbox.attachments.some((one) => one.name === own)) {
      await sandbox.detach(own, { force: options.force });
    }
    return 0;
  },
});

/** Has the plugins look whether all is there. */
export const cniCheck = defineCommand({
  operands: [SANDBOX, { name: "INTERFACE", optional: true }],
  options: namespaceOption,
  notes: [
    "Prints nothing when all is there. Without INTERFACE all attachments are looked at.",
  ],
  examples: ["podnet cni check web", "podnet cni check web net1"],
  async run({ operands: [name = "", own], options, global, fail }) {
    await using node = await openNode(global);
    await using sandbox = await openSandbox(node, name, options);
    let exitCode = 0;
    const all = sandbox.attachments.map(({ name }) => name);
    for (const one of own === undefined ? all : [own]) {
      try {
        await sandbox.checkAttachment(one);
      } catch (error) {
        const failed = await fail(error);
        exitCode ||= failed;
      }
    }
    return exitCode;
  },
});

/** Collects the garbage of a network. */
export const cniGc = defineCommand({
  operands: [NETWORK],
  options: {
    "force": {
      short: "f",
      help: "Forget what is noted also when plugins fail to delete it",
    },
    ...networkOptions,
    ...outputOption,
  },
  notes: [
    NETWORK_NOTE,
    "Deletes what is noted of sandboxes of the node that are no more, then has the plugins remove what belongs",
    "to no attachment. What other runtimes have noted in the same directory stays. Prints what it deleted.",
  ],
  examples: ["podnet cni gc lan"],
  async run({ operands: [network = ""], options, global, fail }) {
    const spec = await networkSpec(network, options);
    await using node = await openNode(global);
    const { force } = options;
    const { deleted, failures } = await node.collectNetworkGarbage(spec, {
      force,
    });
    if (deleted.length > 0 || isJson(options)) {
      printRows(deleted, [
        ["CONTAINER", ({ containerID }) => containerID],
        ["INTERFACE", ({ ifname }) => ifname],
      ], isJson(options));
    }
    let exitCode = 0;
    for (const failure of failures) exitCode = await fail(failure);
    return exitCode;
  },
});

/** Looks at the plugins of a network. */
export const cniStatus = defineCommand({
  operands: [NETWORK],
  options: { ...networkOptions, ...outputOption },
  notes: [
    NETWORK_NOTE,
    "Fails when a plugin is missing, does not know the network's version, or says that it is not ready.",
  ],
  examples: ["podnet cni status lan"],
  async run({ operands: [network = ""], options, global }) {
    const spec = await networkSpec(network, options);
    await using node = await openNode(global);
    printRows(await node.networkStatus(spec), [
      ["PLUGIN", ({ plugin }) => plugin],
      ["PATH", ({ path }) => path],
      ["VERSIONS", ({ supportedVersions }) => supportedVersions.join(" ")],
    ], isJson(options));
    return 0;
  },
});

async function networkSpec(
  network: string,
  options: OptionValues<typeof networkOptions>,
): Promise<NetworkSpec> {
  const { "plugin-dir": given, "cache-dir": cacheDir } = options;
  const timeoutMs = milliseconds(options.timeout);
  const pluginDirs = given.length > 0 ? given : await pluginPath();
  return {
    conflist: await readNetwork(network, options["conf-dir"]),
    ...pluginDirs.length > 0 ? { pluginDirs } : {},
    ...cacheDir === undefined ? {} : { cacheDir },
    ...timeoutMs === undefined ? {} : { timeoutMs },
  };
}

function milliseconds(seconds: string | undefined): number | undefined {
  if (seconds === undefined) return undefined;
  const timeoutMs = Math.round(Number(seconds) * 1000);
  if (timeoutMs >= 1 && timeoutMs < 2 ** 31) return timeoutMs;
  throw new UsageError(
    `--timeout ${quote(seconds)} is no time: write seconds, such as 60`,
  );
}

async function readNetwork(
  network: string,
  confDir: string | undefined,
): Promise<JsonObject> {
  const files = await import("../../cni/runtime/network_files.ts");
  if (network.includes("/")) return files.readNetwork(network).raw;
  return files.findNetwork(network, confDir === undefined ? {} : { confDir });
}

/** `CNI_PATH` of the environment that this process was started with, which is to be had without a permission. */
async function pluginPath(): Promise<readonly string[]> {
  const { readTextFile } = await import("../../../ffi/file.ts");
  const variable = readTextFile("/proc/self/environ").split("\0")
    .find((pair) => pair.startsWith("CNI_PATH="));
  return variable?.slice("CNI_PATH=".length).split(":")
    .filter((directory) => directory !== "") ?? [];
}

function parseJson(text: string): JsonObject {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `--runtime-config is no JSON: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

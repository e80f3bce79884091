/**
 * What goes with `Sandbox.attach({ conflist })`: the networks that an administrator has put into a directory, and what
 * goes wrong with their plugins. Apart from the rest of podnet, which runs without.
 *
 * @example A network of the machine
 * ```ts ignore
 * import { openNode } from "@podnet/podnet";
 * import { CniPluginError, findNetwork } from "@podnet/podnet/cni-runtime";
 *
 * await using node = await openNode();
 * await using sandbox = await node.openSandbox("web");
 * try {
 *   const { name, result } = await sandbox.attach({ conflist: findNetwork("lan") });
 *   console.log(name, result.ips);
 * } catch (error) {
 *   if (!(error instanceof CniPluginError)) throw error;
 *   console.log(error.plugin, error.reason, error.code, error.reported);
 * }
 * ```
 *
 * @module
 */

export {
  findNetwork,
  listNetworks,
  type NetworkFile,
  type NetworkFileOptions,
} from "./network_files.ts";
export {
  CniPluginError,
  type PluginFailure,
  type PluginFailureContext,
  type PluginFailureOptions,
} from "./plugin_error.ts";
export type { CniCommand } from "./command.ts";
export {
  CniError,
  CniErrorCode,
  type CniErrorDocument,
} from "../model/error.ts";
export type { JsonObject, JsonValue } from "../model/json.ts";

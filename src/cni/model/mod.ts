/**
 * The Container Network Interface as data, every version from 0.1.0 to 1.1.0: configurations, results, errors,
 * arguments. Nothing here makes a system call.
 *
 * @example A result of an older version
 * ```ts
 * import { parseResult, resultDocument } from "@podnet/podnet/cni";
 *
 * const result = parseResult({ cniVersion: "0.2.0", ip4: { ip: "10.1.2.3/24" } });
 * console.log(resultDocument(result, "1.1.0"));
 * ```
 *
 * @module
 */

export {
  type CniArguments,
  formatArguments,
  parseArguments,
  requireKnown,
} from "./arguments.ts";
export {
  type CachedAttachment,
  cacheFileName,
  formatCachedAttachment,
  parseCachedAttachment,
} from "./cache.ts";
export {
  type CapabilityBandwidth,
  type CapabilityDns,
  type CapabilityPort,
  type CapabilityRange,
  POD_ANNOTATIONS,
  readRuntimeConfig,
  type RuntimeConfig,
} from "./capabilities.ts";
export { CniError, CniErrorCode, type CniErrorDocument } from "./error.ts";
export type { JsonObject, JsonValue } from "./json.ts";
export {
  isContainerId,
  isInterfaceName,
  isNetworkName,
  isPluginType,
} from "./names.ts";
export {
  type Attachment,
  type NetworkList,
  parseNetworkList,
  parsePluginConfig,
  parsePluginRequest,
  type PluginConfig,
  pluginInput,
  type PluginRequest,
  requirePlugins,
  runtimeConfigFor,
  VALID_ATTACHMENTS,
} from "./network.ts";
export {
  type CniResult,
  EMPTY_RESULT,
  parseResult,
  type ResultAddress,
  type ResultDns,
  type ResultInterface,
  type ResultRoute,
} from "./result.ts";
export { resultDocument } from "./result_document.ts";
export {
  CNI_VERSIONS,
  type CniVersion,
  DEFAULT_VERSION,
  deletesWithResult,
  hasCommand,
  isAtLeast,
  isCniVersion,
  NEWEST_VERSION,
  parseVersion,
  versionDocument,
} from "./version.ts";

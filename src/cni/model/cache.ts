/**
 * What a runtime keeps of an attachment, in the format of the reference runtime library (`cniCacheV1`), so that its
 * tools read it too.
 * @module
 */

import { CniError, CniErrorCode } from "./error.ts";
import {
  decoding,
  type JsonObject,
  type JsonValue,
  optional,
  parseJsonObject,
  readList,
  readObject,
  readString,
  wrongValue,
} from "./json.ts";
import { isContainerId, isInterfaceName, isNetworkName } from "./names.ts";

/** The file's `kind`. */
const KIND = "cniCacheV1";

/** One attachment. */
export interface CachedAttachment {
  /** The container. */
  readonly containerId: string;
  /** The link's name in the container. */
  readonly ifName: string;
  /** The network's name. */
  readonly networkName: string;
  /** The list of plugins, as it was at ADD. */
  readonly config: string;
  /** The path of the container's namespace. */
  readonly netns?: string;
  /** The pairs of `CNI_ARGS`. */
  readonly cniArgs: readonly (readonly [string, string])[];
  /** What was said of the container, for the plugins that have the capability. */
  readonly capabilityArgs: JsonObject;
  /** The result of the last plugin; missing while ADD runs, and when it has failed. */
  readonly result?: JsonObject;
}

/**
 * The name of an attachment's file.
 * @throws {CniError} 7 for names that may not become a path
 */
export function cacheFileName(
  { networkName, containerId, ifName }: Pick<
    CachedAttachment,
    "networkName" | "containerId" | "ifName"
  >,
): string {
  if (
    !isNetworkName(networkName) || !isContainerId(containerId) ||
    !isInterfaceName(ifName)
  ) {
    throw new CniError(
      CniErrorCode.INVALID_NETWORK_CONFIG,
      `${
        JSON.stringify([networkName, containerId, ifName])
      } are no names of a network, a container and a link`,
    );
  }
  return `${networkName}-${containerId}-${ifName}`;
}

/** The text of an attachment's file. */
export function formatCachedAttachment(cached: CachedAttachment): string {
  const { netns, cniArgs, capabilityArgs, result } = cached;
  return JSON.stringify({
    kind: KIND,
    containerId: cached.containerId,
    config: new TextEncoder().encode(cached.config).toBase64(),
    ifName: cached.ifName,
    networkName: cached.networkName,
    ...netns !== undefined && { netns },
    ...cniArgs.length > 0 && { cniArgs },
    ...Object.keys(capabilityArgs).length > 0 && { capabilityArgs },
    ...result !== undefined && { result },
  });
}

/**
 * Reads an attachment's file.
 * @throws {CniError} 6 when it is none
 */
export function parseCachedAttachment(text: string): CachedAttachment {
  const raw = parseJsonObject(text, "the cached attachment");
  if (raw["kind"] !== KIND) {
    throw new CniError(
      CniErrorCode.DECODING_FAILURE,
      `the cached attachment is not of the kind ${KIND}`,
    );
  }
  return decoding("invalid cached attachment", () => readCached(raw));
}

function readCached(raw: JsonObject): CachedAttachment {
  const netns = optional(raw, "netns", readString);
  const result = optional(raw, "result", readObject);
  const cached = {
    containerId: readString(raw["containerId"] ?? null, "containerId"),
    ifName: readString(raw["ifName"] ?? null, "ifName"),
    networkName: readString(raw["networkName"] ?? null, "networkName"),
    config: fromBase64(readString(raw["config"] ?? "", "config")),
    cniArgs: optional(raw, "cniArgs", readList(readPair)) ?? [],
    capabilityArgs: optional(raw, "capabilityArgs", readObject) ?? {},
    ...netns !== undefined && { netns },
    ...result !== undefined && { result },
  };
  cacheFileName(cached);
  return cached;
}

function fromBase64(text: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.fromBase64(text),
    );
  } catch {
    throw wrongValue("config", "base64 of UTF-8");
  }
}

function readPair(value: JsonValue, path: string): [string, string] {
  const [key, argument, ...more] = readList(readString)(value, path);
  if (key === undefined || argument === undefined || more.length > 0) {
    throw wrongValue(path, "a pair of strings");
  }
  return [key, argument];
}

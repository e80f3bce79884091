/**
 * `VERSION`: which versions of the specification the plugin speaks.
 *
 * @module
 */
import { isJsonObject, type JsonObject } from "../model/json.ts";
import {
  CNI_VERSIONS,
  isCniVersion,
  NEWEST_VERSION,
} from "../model/version.ts";

/** Answers in the version that is asked in; who asks nothing, or in one that is not known, gets the newest. */
export function version(stdin: string): JsonObject {
  return {
    cniVersion: askedVersion(stdin) ?? NEWEST_VERSION,
    supportedVersions: [...CNI_VERSIONS],
  };
}

function askedVersion(stdin: string): string | undefined {
  try {
    const asked: unknown = JSON.parse(stdin);
    const version = isJsonObject(asked) ? asked["cniVersion"] : undefined;
    return isCniVersion(version) ? version : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Versions of the specification.
 * @module
 */

import { CniError, CniErrorCode } from "./error.ts";

/** Every version, in ascending order. */
export const CNI_VERSIONS = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
  "1.1.0",
] as const;

/** A version of the specification. */
export type CniVersion = typeof CNI_VERSIONS[number];

/** The newest version. */
export const NEWEST_VERSION: CniVersion = "1.1.0";

/** What a configuration without a version means. */
export const DEFAULT_VERSION: CniVersion = "0.1.0";

/** Operations that a version may lack, and the first that has them. */
const SINCE: Readonly<Record<string, CniVersion>> = {
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
};

/** Whether this is one of the {@linkcode CNI_VERSIONS}. */
export function isCniVersion(text: unknown): text is CniVersion {
  return (CNI_VERSIONS as readonly unknown[]).includes(text);
}

/** Whether `version` is `other` or later. */
export function isAtLeast(version: CniVersion, other: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(other);
}

/** Whether configurations of this version may be run with this CNI_COMMAND. */
export function hasCommand(version: CniVersion, command: string): boolean {
  return isAtLeast(version, SINCE[command] ?? DEFAULT_VERSION);
}

/** Whether DEL gets the result of ADD as its `prevResult`, as since 0.4.0. */
export function deletesWithResult(version: CniVersion): boolean {
  return isAtLeast(version, "0.4.0");
}

/**
 * The version of a configuration; nothing, and the empty string that Go writes for it, mean
 * {@linkcode DEFAULT_VERSION}.
 *
 * @throws {CniError} 1 with the list of versions in the details
 */
export function parseVersion(text: string | undefined): CniVersion {
  if (text === undefined || text === "") return DEFAULT_VERSION;
  if (isCniVersion(text)) return text;
  throw incompatible(text);
}

/** The error for a version that nothing here knows. */
export function incompatible(text: string): CniError {
  return new CniError(
    CniErrorCode.INCOMPATIBLE_VERSION,
    `cniVersion ${JSON.stringify(text)} is not supported`,
    { details: `supported: ${CNI_VERSIONS.join(", ")}` },
  );
}

/** The numbers of a version; undefined when it is none. */
export function versionNumbers(
  text: string,
): readonly number[] | undefined {
  const parts = /^(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?$/.exec(text);
  return parts?.slice(1).map((part) => Number(part ?? 0));
}

/** The document that VERSION answers with. */
export function versionDocument(): {
  readonly cniVersion: string;
  readonly supportedVersions: readonly string[];
} {
  return { cniVersion: NEWEST_VERSION, supportedVersions: [...CNI_VERSIONS] };
}

/**
 * A state directory that cannot be used, or not for long.
 *
 * @module
 */
import type { Facts } from "../facts/facts.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";

/** A sandbox takes about 10 kB and 5 files. */
const MIN_BYTES = 4 << 20;
const MIN_FILES = 1000;

/** Judges the state directory. */
export function stateDirectoryFindings(
  { stateDirectory, node, privileges }: Pick<
    Facts,
    "stateDirectory" | "node" | "privileges"
  >,
): DiagnosisFinding[] {
  const { path, status, availableBytes, freeFiles, fileSystem } =
    stateDirectory;
  const about = `state directory ${path}`;
  const found: DiagnosisFinding[] = [];
  const unusable = (message: string, remedy: string) =>
    found.push(
      finding("error", "state-directory-unusable", about, message, remedy),
    );
  if (status !== undefined && status.kind !== "directory") {
    unusable(
      `is a ${status.kind}`,
      `remove it, or use another one: podnet --state-dir DIR`,
    );
  } else if (status !== undefined && status.uid !== privileges.user) {
    unusable(
      `belongs to user ${status.uid}, and podnet runs as user ${privileges.user}`,
      `run podnet as user ${status.uid}, or use another directory: podnet --state-dir DIR`,
    );
  } else if (status !== undefined && (status.mode & 0o022) !== 0) {
    unusable(
      "can be written by other users, who could make podnet act for them",
      `chmod 0700 ${path}`,
    );
  }
  if (stateDirectory.readOnly) {
    unusable(
      "is on a read-only file system",
      "use another one: podnet --state-dir DIR",
    );
  } else if (!stateDirectory.writable && found.length === 0) {
    unusable(
      `cannot be ${status === undefined ? "made" : "written"} by this user`,
      "use one that this user can write: podnet --state-dir DIR",
    );
  } else if (
    availableBytes !== undefined && availableBytes < MIN_BYTES ||
    freeFiles !== undefined && freeFiles < MIN_FILES
  ) {
    found.push(finding(
      availableBytes === 0 || freeFiles === 0 ? "error" : "warning",
      "state-directory-full",
      about,
      `has room for ${availableBytes ?? "?"} bytes in ${
        freeFiles ?? "any number of"
      } files: a sandbox takes about 10 kB and 5 files`,
      "make room in its file system, or use another one: podnet --state-dir DIR",
    ));
  }
  if (fileSystem !== undefined && !VOLATILE.includes(fileSystem)) {
    found.push(finding(
      "note",
      "state-outlives-reboot",
      about,
      `is on ${fileSystem}, which survives a reboot; what it tells of does not`,
      "use a directory below /run, or collect garbage after a reboot: podnet node down --force",
    ));
  }
  if (node?.here && !node.pinsShared) {
    found.push(finding(
      "warning",
      "pins-not-shared",
      `${path}/${node.name}`,
      "is no shared mount: other mount namespaces, such as those of container runtimes, do not see new pins",
      `mount --bind ${path}/${node.name} ${path}/${node.name} && mount --make-shared ${path}/${node.name}`,
    ));
  }
  return found;
}

/** File systems that a reboot empties. */
const VOLATILE: readonly string[] = ["tmpfs", "ramfs", "rootfs", "devtmpfs"];

/**
 * The resolver's files of a sandbox, which the runtime mounts into its containers.
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import { readTextFile } from "../../ffi/file.ts";
import { writeFileAtomic } from "../state/store.ts";
import { dnsFiles } from "./dns.ts";
import type { NodeState } from "./node_state.ts";
import type { SandboxRecord } from "./records.ts";

/** Writes the files, readable by any user in the containers. */
export function writeDnsFiles(
  state: NodeState,
  { id, spec, addresses }: Pick<SandboxRecord, "id" | "spec" | "addresses">,
): void {
  const directory = state.sandboxDirectory(id);
  const text = new TextEncoder();
  const { resolvConf, hosts } = dnsFiles(spec, addresses, nodeResolvConf());
  writeFileAtomic(`${directory}/resolv.conf`, text.encode(resolvConf), 0o644);
  writeFileAtomic(`${directory}/hosts`, text.encode(hosts), 0o644);
}

/**
 * What is wrong with each of the files, by path. Lines that somebody added are theirs: a container may write to its files.
 * Of resolv.conf only what the spec says is compared, since what the node has changes with its own network.
 */
export function dnsFileProblems(
  state: NodeState,
  { id, spec, addresses }: Pick<SandboxRecord, "id" | "spec" | "addresses">,
): [path: string, problem: string][] {
  const directory = state.sandboxDirectory(id);
  const { resolvConf, hosts } = dnsFiles(spec, addresses);
  const wanted = [["resolv.conf", resolvConf], ["hosts", hosts]] as const;
  return wanted.flatMap(([name, text]): [path: string, problem: string][] => {
    const path = `${directory}/${name}`;
    const found = textOf(path);
    if (found === undefined) return [[path, "is missing"]];
    const lines = new Set(found.split("\n"));
    const lacking = text.split("\n").find((line) => !lines.has(line));
    return lacking === undefined ? [] : [[path, `lacks the line "${lacking}"`]];
  });
}

function textOf(path: string): string | undefined {
  try {
    return readTextFile(path);
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return undefined;
    throw error;
  }
}

function nodeResolvConf(): string {
  try {
    return readTextFile("/etc/resolv.conf");
  } catch (error) {
    // A node without a resolver has nothing to hand on; names are never fatal to connectivity.
    if (error instanceof SyscallError) return "";
    throw error;
  }
}

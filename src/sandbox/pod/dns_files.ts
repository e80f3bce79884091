/**
 * The resolver's files of a sandbox, which the runtime mounts into its containers.
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import { utf8Once } from "../../../ffi/buffer.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import { readTextFile, stat } from "../../../ffi/file.ts";
import { writeFileAtomic, writeNewFile } from "../../state/store.ts";
import {
  dnsFiles,
  HOSTS,
  isOfNode,
  NO_RESOLVER,
  ownHosts,
  readResolvConf,
  resolvConf,
  type Resolver,
} from "../records/dns.ts";
import type { NodeState } from "../records/node_state.ts";
import type { SandboxRecord } from "../records/records.ts";

/** Writes the files, readable by any user in the containers; in one step, as containers may be reading them. */
export function writeDnsFiles(state: NodeState, record: Named): void {
  write(state, record, writeFileAtomic);
}

/** What was made ahead. */
interface Made {
  /** Whose resolv.conf it is. */
  readonly resolver: Resolver;
  /** The file, with its beginning. */
  readonly hosts: OwnedFd;
}

/** Writes the files of a sandbox that is being made: nobody reads them until it is ready. */
export function newDnsFiles(
  state: NodeState,
  record: Named,
  made?: Made,
): void {
  write(state, record, writeNewFile, made);
}

/** What most pods have, made once: 2 µs. */
function usualText(resolver: Resolver): string {
  if (usual?.resolver !== resolver) {
    usual = { resolver, text: resolvConf({}, resolver) };
  }
  return usual.text;
}

let usual: { readonly resolver: Resolver; readonly text: string } | undefined;

type Named = Pick<SandboxRecord, "id" | "spec" | "addresses">;

/** Those that lead to the pod's name: without an interface of podnet's network, those that its spec gives it. */
function namedAddresses({ spec, addresses }: Named): readonly string[] {
  return addresses.length > 0 || spec.hostNetwork
    ? addresses
    : spec.interfaces.flatMap(({ addresses }) =>
      addresses.map((address) => address.replace(/\/.*/, ""))
    );
}

function write(
  state: NodeState,
  record: Named,
  write: typeof writeNewFile,
  made?: Made,
): void {
  const { id, spec: { dns } } = record;
  const directory = state.sandboxDirectory(id);
  const resolver = nodeResolver();
  const isUsual = isOfNode(dns);
  if (made?.resolver !== resolver || !isUsual) {
    const text = isUsual ? usualText(resolver) : resolvConf(dns, resolver);
    write(`${directory}/resolv.conf`, utf8Once(text), 0o644);
  }
  const own = ownHosts(dns, namedAddresses(record));
  const hosts = made === undefined ? HOSTS + own : own;
  write(`${directory}/hosts`, utf8Once(hosts), 0o644, made?.hosts);
}

/**
 * What is wrong with each of the files, by path. Lines that somebody added are theirs: a container may write to its files.
 * Of resolv.conf only what the spec says is compared, since what the node has changes with its own network.
 */
export function dnsFileProblems(
  state: NodeState,
  record: Named,
): [path: string, problem: string][] {
  const { id, spec } = record;
  const directory = state.sandboxDirectory(id);
  const { resolvConf, hosts } = dnsFiles(spec, namedAddresses(record));
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

const NODE_FILE = "/etc/resolv.conf";

/** What was read last, and of which file. */
let known:
  | { readonly version: string; readonly resolver: Resolver }
  | undefined;

/** What the node's own resolv.conf says; read again when it is another file, or another version of it: 2 µs a pod instead of 25. */
export function nodeResolver(): Resolver {
  try {
    const { version } = stat(NODE_FILE);
    if (known?.version !== version) {
      known = { version, resolver: readResolvConf(readTextFile(NODE_FILE)) };
    }
    return known.resolver;
  } catch (error) {
    // A node without a resolver has nothing to hand on; names are never fatal to connectivity.
    if (error instanceof SyscallError) return NO_RESOLVER;
    throw error;
  }
}

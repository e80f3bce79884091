/**
 * What this process may do.
 *
 * @module
 */
import { O_RDONLY, open } from "../../../ffi/file.ts";
import { ownsNamespace } from "../../../ffi/namespace.ts";
import { geteuid } from "../../../ffi/process.ts";
import { readIfPresent, type Witness } from "./witness.ts";

/** Rights of the calling thread. */
export interface PrivilegeFacts {
  /** Effective user id. */
  readonly user: number;
  /** Names of those that podnet uses, among the effective capabilities; undefined when they could not be read. */
  readonly capabilities?: readonly Capability[];
  /** In a user namespace, capabilities hold for what belongs to that namespace only. */
  readonly userNamespace: boolean;
  /** Namespaces of the calling thread that belong to another user namespace: its capabilities do not hold for them. */
  readonly foreignNamespaces: readonly NamespaceKind[];
  /** Programs that it starts gain nothing (prctl(2), PR_SET_NO_NEW_PRIVS). */
  readonly noNewPrivileges: boolean;
  /** A seccomp filter decides about its system calls. */
  readonly seccomp: boolean;
  /** How many files may be open (RLIMIT_NOFILE, soft). */
  readonly openFilesLimit?: number;
}

/** A kind of namespace in which podnet makes something, by the name of its links in `/proc`. */
export type NamespaceKind = "net" | "mnt";

/** A capability that podnet can use. */
export type Capability =
  | "CAP_NET_ADMIN"
  | "CAP_NET_RAW"
  | "CAP_SYS_PTRACE"
  | "CAP_SYS_ADMIN";

/** Numbers of linux/capability.h. */
const CAPABILITIES: Readonly<Record<Capability, number>> = {
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
};

/** Looks. */
export function privilegeFacts(witness: Witness): PrivilegeFacts {
  const status = witness.see(
    "capabilities",
    () => readIfPresent("/proc/thread-self/status"),
  );
  const field = (name: string) =>
    status?.match(new RegExp(`^${name}:\\s*(\\w+)`, "m"))?.[1];
  const effective = field("CapEff");
  const openFilesLimit = openFiles(witness);
  return {
    user: geteuid(),
    ...(effective === undefined
      ? {}
      : { capabilities: namesOf(BigInt(`0x${effective}`)) }),
    userNamespace: inUserNamespace(witness),
    foreignNamespaces: (["net", "mnt"] as const).filter((kind) =>
      witness.see(`owner of namespace ${kind}`, () => owns(kind)) === false
    ),
    noNewPrivileges: field("NoNewPrivs") === "1",
    // 2 is SECCOMP_MODE_FILTER.
    seccomp: field("Seccomp") === "2",
    ...(openFilesLimit === undefined ? {} : { openFilesLimit }),
  };
}

function namesOf(mask: bigint): Capability[] {
  return (Object.keys(CAPABILITIES) as Capability[]).filter((name) =>
    (mask >> BigInt(CAPABILITIES[name]) & 1n) === 1n
  );
}

/** The first user namespace maps every user to itself (user_namespaces(7)). */
function inUserNamespace(witness: Witness): boolean {
  const map = witness.see(
    "user namespace",
    () => readIfPresent("/proc/self/uid_map"),
  );
  return map !== undefined && !/^\s*0\s+0\s+4294967295\s*$/.test(map);
}

function owns(kind: NamespaceKind): boolean {
  using namespace = open(`/proc/thread-self/ns/${kind}`, O_RDONLY);
  return ownsNamespace(namespace);
}

function openFiles(witness: Witness): number | undefined {
  const text = witness.see(
    "limit of open files",
    () => readIfPresent("/proc/self/limits"),
  );
  const soft = text?.match(/^Max open files\s+(\d+)/m)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

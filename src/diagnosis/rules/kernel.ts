/**
 * What the kernel lacks, and what it does not let this process do.
 *
 * @module
 */
import type { Facts } from "../facts/facts.ts";
import type { NamespaceKind } from "../facts/privileges.ts";
import type { Trial } from "../facts/trial.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";

const AS_ROOT =
  "run it as root, or try it in a user namespace: unshare -Urnm podnet --state-dir DIR doctor";

/** Judges trials and rights. */
export function kernelFindings(
  { trials, privileges }: Pick<Facts, "trials" | "privileges">,
): DiagnosisFinding[] {
  const { capabilities, userNamespace, foreignNamespaces, openFilesLimit } =
    privileges;
  const found: DiagnosisFinding[] = [];
  const missing = (["CAP_SYS_ADMIN", "CAP_NET_ADMIN"] as const).filter((name) =>
    capabilities?.includes(name) === false
  );
  if (missing.length > 0) {
    found.push(finding(
      "error",
      "not-permitted",
      "this process",
      `lacks ${missing.join(" and ")}, so it can make no pods`,
      AS_ROOT,
    ));
  } else if (foreignNamespaces.length > 0) {
    found.push(finding(
      "error",
      "not-permitted",
      "this process",
      `is in a user namespace that does not have its ${
        foreignNamespaces.map((kind) => NAMESPACES[kind]).join(" and ")
      }, so its capabilities do not hold there and it can make no pods`,
      AS_ROOT,
    ));
  } else found.push(...refused(trials, privileges.seccomp));
  for (const trial of trials) {
    if (!trial.needed || trial.outcome !== "absent") continue;
    found.push(finding(
      "error",
      "kernel-feature-missing",
      `kernel: ${trial.feature}`,
      `does not work${errorOf(trial)}: ${trial.without}`,
      moduleOf(trial.feature),
    ));
  }
  const absent = trials.filter((t) => !t.needed && t.outcome === "absent");
  if (absent.length > 0) {
    found.push(finding(
      "note",
      "kernel-features-absent",
      "kernel",
      `has no ${
        absent.map(({ feature, without }) => `${feature} (${without})`)
          .join(", ")
      }`,
      "nothing, unless you need them: use a kernel, or load modules, that have them",
    ));
  }
  if (userNamespace) {
    found.push(finding(
      "note",
      "user-namespace",
      "this process",
      "is in a user namespace: it sees its own network only, and limits of the machine hold for it too",
      "nothing; run it as root of the machine to see to the machine's own pods",
    ));
  }
  if (openFilesLimit !== undefined && openFilesLimit < MIN_OPEN_FILES) {
    found.push(finding(
      "warning",
      "open-files-limit",
      "RLIMIT_NOFILE",
      `at most ${openFilesLimit} files may be open; each pod that a program holds open takes some`,
      "ulimit -n 65536, or LimitNOFILE=65536 in the unit of the service",
    ));
  }
  return found;
}

const MIN_OPEN_FILES = 1024;

const NAMESPACES: Readonly<Record<NamespaceKind, string>> = {
  net: "network",
  mnt: "mounts",
};

/** What was refused though the capability is there: a container's filter of system calls, or a security module. */
function refused(
  trials: readonly Trial[],
  seccomp: boolean,
): DiagnosisFinding[] {
  const refused = trials.filter(({ outcome }) => outcome === "refused");
  if (refused.length === 0) return [];
  return [finding(
    refused.some(({ needed }) => needed) ? "error" : "warning",
    "system-calls-filtered",
    "this process",
    `has the capabilities and is refused all the same: ${
      refused.map((trial) => trial.feature + errorOf(trial)).join(", ")
    }${seccomp ? "; a seccomp filter decides about its system calls" : ""}`,
    "in a container: docker run --privileged, or --security-opt seccomp=unconfined --cap-add ALL",
  )];
}

function errorOf({ error }: Trial): string {
  return error === undefined ? "" : ` (${error})`;
}

/** How to get a feature that podnet cannot be without. */
function moduleOf(feature: string): string {
  if (feature === "network namespaces") {
    return "sysctl -w user.max_net_namespaces=4096, or use a kernel that has them";
  }
  const modules: readonly (readonly [RegExp, string])[] = [
    [/^veth$/, "veth"],
    [/^nf_tables nat$/, "nft_chain_nat nft_masq"],
    [/^nf_tables fib$/, "nft_fib_inet"],
    [/^nf_tables/, "nf_tables"],
    [/^conntrack/, "nf_conntrack_netlink"],
    [/tcp socket/, "tcp_diag"],
    [/udp socket/, "udp_diag"],
  ];
  const names = modules.find(([pattern]) => pattern.test(feature))?.[1];
  return names === undefined
    ? "use a kernel that has it"
    : `modprobe -a ${names}, or use a kernel that has it`;
}

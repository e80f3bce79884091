/**
 * What a diagnosis finds.
 *
 * @module
 */

/**
 * How bad it is: with an `error` pods do not work, or some of them do not; a `warning` harms some traffic or may do harm
 * soon; a `note` is good to know.
 */
export type Severity = "error" | "warning" | "note";

/** Every kind of finding. The names are stable. */
export const FINDING_CODES = [
  "not-permitted",
  "system-calls-filtered",
  "kernel-feature-missing",
  "kernel-features-absent",
  "user-namespace",
  "open-files-limit",
  "namespaces-limit",
  "mounts-limit",
  "conntrack-full",
  "neighbours-full",
  "state-directory-unusable",
  "state-directory-full",
  "state-outlives-reboot",
  "pins-not-shared",
  "sysctls-read-only",
  "forwarding-off",
  "link-forwarding-off",
  "ipv6-disabled",
  "strict-reverse-path",
  "advertisements-ignored",
  "route-localnet",
  "unusual-sysctl",
  "bridge-filtering",
  "pod-cidr-overlap",
  "foreign-route",
  "policy-rule",
  "mtu-too-large",
  "no-default-route",
  "address-lease",
  "pod-link-managed",
  "traffic-dropped",
  "traffic-maybe-dropped",
  "node-closed-to-pods",
  "legacy-iptables",
  "firewall-manager",
  "host-port-caught",
  "host-port-has-listener",
  "pod-source-replaced",
  "flowtable",
  "node-not-set-up",
  "node-record-invalid",
  "node-elsewhere",
  "node-table-missing",
  "node-table-foreign",
  "difference",
  "garbage",
  "other-nodes",
] as const;

/** A kind of finding. */
export type FindingCode = (typeof FINDING_CODES)[number];

/** One finding. */
export interface DiagnosisFinding {
  /** How bad it is. */
  readonly severity: Severity;
  /** What kind it is, for programs. */
  readonly code: FindingCode;
  /** What it is about, such as `sysctl net.ipv4.ip_forward` or `table ip filter chain FORWARD`. */
  readonly about: string;
  /** What is the matter, and what follows from it. */
  readonly message: string;
  /** What helps: a command, or a setting. */
  readonly remedy: string;
}

/** Makes a finding. */
export function finding(
  severity: Severity,
  code: FindingCode,
  about: string,
  message: string,
  remedy: string,
): DiagnosisFinding {
  return { severity, code, about, message, remedy };
}

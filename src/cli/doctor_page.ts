/**
 * A diagnosis as a page for people: what there is, then what is wrong, the worst last, where a terminal shows it.
 *
 * @module
 */
import type { Diagnosis, DiagnosisFinding, Severity } from "../../mod.ts";
import { printable } from "../text.ts";

const WIDTH = 100;
const LABEL_WIDTH = 10;

/** Findings of one kind beyond these are counted only. */
const MAX_OF_A_KIND = 3;

const LABELS: Readonly<Record<Severity, string>> = {
  error: "ERROR",
  warning: "WARNING",
  note: "note",
};

/** The lines of the page. */
export function doctorPage(diagnosis: Diagnosis): string[] {
  return [
    ...summary(diagnosis),
    ...diagnosis.unseen.length === 0 ? [] : [
      "",
      ...row(
        "Not seen",
        diagnosis.unseen.map(({ about, reason }) => `${about}: ${reason}`)
          .join("; "),
      ),
    ],
    ...findingLines(diagnosis.findings.toReversed()),
    "",
    verdict(diagnosis.findings),
  ];
}

function summary(diagnosis: Diagnosis): string[] {
  return [
    ...row("Platform", platform(diagnosis)),
    ...row("Rights", rights(diagnosis)),
    ...row("Kernel", kernel(diagnosis)),
    ...row("Limits", limits(diagnosis)),
    ...row("State", state(diagnosis)),
    ...row("Network", network(diagnosis)),
    ...row("Node", node(diagnosis)),
  ];
}

function platform({ platform }: Diagnosis): string {
  const { deno, kernel = "?", architecture, libc = "?" } = platform;
  return `Deno ${deno}, Linux ${kernel}, ${architecture}, ${libc}`;
}

function rights({ privileges }: Diagnosis): string {
  const { user, capabilities, openFilesLimit } = privileges;
  return [
    user === 0 ? "root" : `user ${user}`,
    capabilities === undefined
      ? "capabilities unknown"
      : capabilities.length === 0
      ? "no capability that podnet uses"
      : capabilities.join(" "),
    ...privileges.userNamespace ? ["in a user namespace"] : [],
    ...privileges.noNewPrivileges ? ["no new privileges"] : [],
    ...privileges.seccomp ? ["seccomp filter"] : [],
    ...openFilesLimit === undefined ? [] : [`${openFilesLimit} open files`],
  ].join(", ");
}

function kernel({ kernel }: Diagnosis): string {
  const names = (outcome: string) =>
    kernel.filter((t) => t.outcome === outcome).map(({ feature }) => feature);
  const parts = [`${names("works").length} of ${kernel.length} features work`];
  for (
    const [outcome, label] of [
      ["absent", "absent"],
      ["refused", "refused"],
      ["untried", "not tried"],
    ] as const
  ) {
    const list = names(outcome);
    const few = list.length <= 12;
    if (list.length > 0) {
      parts.push(`${label}: ${few ? list.join(", ") : list.length}`);
    }
  }
  return parts.join("; ");
}

function limits({ limits }: Diagnosis): string {
  const {
    trackedConnections: tracked,
    maxTrackedConnections: maxTracked,
    mounts,
    maxMounts,
    maxNetworkNamespaces: namespaces,
    localPorts,
    unprivilegedPortStart: start,
    maxReceiveBuffer: receive,
    maxSendBuffer: send,
  } = limits;
  return [
    ...maxTracked === undefined
      ? []
      : [`${tracked ?? "?"} of ${maxTracked} tracked connections`],
    ...maxMounts === undefined ? [] : [`${mounts} of ${maxMounts} mounts`],
    ...namespaces === undefined ? [] : [`${namespaces} network namespaces`],
    ...receive === undefined || send === undefined
      ? []
      : [`buffers ${receive}/${send} bytes`],
    ...localPorts === undefined ? [] : [`client ports ${localPorts.join("-")}`],
    ...start === undefined ? [] : [`free ports from ${start}`],
  ].join(", ");
}

function state({ stateDirectory }: Diagnosis): string {
  const { path, status, fileSystem, availableBytes, freeFiles, shared } =
    stateDirectory;
  return [
    path + (status === undefined ? " (not there yet)" : ""),
    ...fileSystem === undefined ? [] : [fileSystem],
    ...stateDirectory.readOnly ? ["read-only"] : [],
    ...availableBytes === undefined
      ? []
      : [`${Math.floor(availableBytes / (1 << 20))} MiB free`],
    ...freeFiles === undefined ? [] : [`${freeFiles} files free`],
    ...shared === undefined ? [] : [shared ? "shared mount" : "private mount"],
  ].join(", ");
}

function network({ network, privileges }: Diagnosis): string {
  const { netnsId, uplinks, outsideMtu, tables } = network;
  return [
    netnsId,
    uplinks.length === 0 ? "no uplink" : `uplinks ${uplinks.join(" ")}`,
    ...outsideMtu === undefined ? [] : [`MTU to the outside ${outsideMtu}`],
    tables === undefined
      ? `nf_tables not seen${privileges.user === 0 ? "" : " by this user"}`
      : tables.length === 0
      ? "no nf_tables tables"
      : `tables ${tables.join(", ")}`,
  ].join(", ");
}

function node({ node }: Diagnosis): string {
  if (node === undefined) return "none";
  return [
    `${node.name} ${node.podCidrs.join(" ")}`,
    `gateway ${node.gateways.join(" ")}`,
    `MTU ${node.mtu}`,
    node.masquerade ? "masquerading" : "not masquerading",
    `${node.sandboxes} sandboxes`,
    `${node.pins} pins`,
    `${node.links} links`,
    `${node.routes} routes`,
    ...node.table === undefined ? [] : [`table ${node.table}`],
    `${node.rules} rules`,
    `${node.elements} elements`,
    `${node.hostPorts.length} host ports`,
    ...node.differences === undefined
      ? []
      : [`${node.differences.length} differences`],
    ...node.garbage === undefined ? [] : [`${node.garbage.length} garbage`],
  ].join(", ");
}

function findingLines(findings: readonly DiagnosisFinding[]): string[] {
  const seen = new Map<string, number>();
  for (const { code } of findings) seen.set(code, (seen.get(code) ?? 0) + 1);
  const shown = new Map<string, number>();
  return findings.flatMap((finding) => {
    const { code, severity, about, message, remedy } = finding;
    const count = (shown.get(code) ?? 0) + 1;
    shown.set(code, count);
    const total = seen.get(code) ?? 0;
    if (count > MAX_OF_A_KIND + 1 || count > MAX_OF_A_KIND && total > count) {
      return count === MAX_OF_A_KIND + 1
        ? ["", ...row("", `and ${total - MAX_OF_A_KIND} more like these`)]
        : [];
    }
    return [
      "",
      ...row(LABELS[severity], about),
      ...row("", message),
      ...row("", `→ ${remedy}`),
    ];
  });
}

function verdict(findings: readonly DiagnosisFinding[]): string {
  const count = (severity: Severity) =>
    findings.filter((finding) => finding.severity === severity).length;
  const parts = (["error", "warning", "note"] as const).flatMap((severity) => {
    const n = count(severity);
    return n === 0 ? [] : [`${n} ${severity}${n === 1 ? "" : "s"}`];
  });
  return parts.length === 0 ? "Nothing to complain about." : parts.join(", ");
}

/** A label and a text that is broken where a line ends. */
function row(label: string, text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of printable(text).split(" ")) {
    if (line !== "" && line.length + 1 + word.length > WIDTH - LABEL_WIDTH) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each, i) =>
    `${(i === 0 ? label : "").padEnd(LABEL_WIDTH)}${each}`.trimEnd()
  );
}

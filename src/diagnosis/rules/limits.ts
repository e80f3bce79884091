/**
 * Limits that are nearly reached.
 *
 * @module
 */
import type { Facts } from "../facts/facts.ts";
import { type DiagnosisFinding, finding } from "./finding.ts";

/** From here on it is nearly full. */
const NEARLY = 0.8;

/** Judges limits. */
export function limitFindings(
  { limits, node }: Pick<Facts, "limits" | "node">,
): DiagnosisFinding[] {
  const found: DiagnosisFinding[] = [];
  const {
    maxNetworkNamespaces: namespaces,
    trackedConnections: tracked,
    maxTrackedConnections: maxTracked,
    mounts,
    maxMounts,
  } = limits;
  const sandboxes = node?.sandboxes ?? 0;
  if (namespaces !== undefined && namespaces <= sandboxes / NEARLY) {
    found.push(finding(
      namespaces <= sandboxes ? "error" : "warning",
      "namespaces-limit",
      "sysctl user.max_net_namespaces",
      `allows ${namespaces} network namespaces, and there are ${sandboxes} sandboxes`,
      `sysctl -w user.max_net_namespaces=${Math.max(4096, 4 * sandboxes)}`,
    ));
  }
  if (isNearly(tracked, maxTracked)) {
    found.push(finding(
      "warning",
      "conntrack-full",
      "connection tracking",
      `${tracked} connections of at most ${maxTracked} are tracked: when it is full, new ones are dropped`,
      `sysctl -w net.netfilter.nf_conntrack_max=${2 * (maxTracked ?? 0)}`,
    ));
  }
  if (isNearly(mounts, maxMounts)) {
    found.push(finding(
      "warning",
      "mounts-limit",
      "sysctl fs.mount-max",
      `${mounts} mounts of at most ${maxMounts}: each sandbox takes one`,
      `sysctl -w fs.mount-max=${2 * (maxMounts ?? 0)}`,
    ));
  }
  for (const family of [4, 6] as const) {
    const max = limits.maxNeighbours[family];
    const count = limits.neighbours[family];
    if (!isNearly(count, max)) continue;
    const name = `net.ipv${family}.neigh.default.gc_thresh3`;
    found.push(finding(
      "warning",
      "neighbours-full",
      `sysctl ${name}`,
      `${count} neighbours of at most ${max}: when it is full, new ones are not reached. Pods do not count`,
      `sysctl -w ${name}=${4 * (max ?? 0)}`,
    ));
  }
  return found;
}

function isNearly(
  count: number | undefined,
  max: number | undefined,
): boolean {
  return count !== undefined && max !== undefined && max > 0 &&
    count >= NEARLY * max;
}

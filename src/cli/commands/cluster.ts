/**
 * `podnet node leave`, `podnet node status`, `podnet node ls`, `podnet node routes` and `podnet node picture`
 *
 * @module
 */
import type { ClusterMember, ClusterRoute, ClusterView } from "../../../mod.ts";
import { printable } from "../../text.ts";
import { clusterOptions, joinOptions } from "../cluster_options.ts";
import { defineCommand } from "../command.ts";
import type { GlobalValues } from "../options.ts";
import { outputOption } from "../options.ts";
import { isJson, print, printJson, printRecord, printRows } from "../output.ts";
import { nodeSelection, refusedNode } from "../session.ts";

async function clusterOf(global: GlobalValues): Promise<ClusterView> {
  const { readCluster } = await import("../../../mod.ts");
  return await refusedNode(() => readCluster(nodeSelection(global)));
}

/** Takes the node out of its cluster. */
export const nodeLeave = defineCommand({
  operands: [],
  options: {
    ...clusterOptions,
    "force": {
      short: "f",
      help:
        "Also remove the sandboxes that are there; without it they are a conflict",
    },
    ...outputOption,
  },
  notes: [
    "Takes the node down and gives its pod networks back. End podnet node up first. Prints what was removed;",
    "nothing when the node has left before. A node that is set up without the cluster stays as it is.",
  ],
  examples: ["podnet node leave --etcd http://192.0.2.10:2379"],
  async run({ options, global }) {
    const { leaveCluster } = await import("../../../mod.ts");
    const wanted = { ...joinOptions(options, global), force: options.force };
    const removed = await refusedNode(() => leaveCluster(wanted));
    if (isJson(options)) printJson({ removed });
    else for (const object of removed) print(printable(object));
    return 0;
  },
});

/** Shows how the node stands. */
export const nodeStatus = defineCommand({
  operands: [],
  options: outputOption,
  notes: [
    "Exits with 1 when the node is not ready: its store does not answer, its lease has ended, or nobody keeps it.",
  ],
  examples: ["podnet node status", "podnet node status -o json"],
  async run({ options, global }) {
    const { status } = await clusterOf(global);
    const { self, settings, refused } = status;
    const remaining = status.leaseRemainingMs;
    printRecord(status, [
      ["Node", status.node],
      ["Cluster", status.cluster],
      ["State", `${status.state} since ${status.since}`],
      ["Reason", status.reason ?? "-"],
      [
        "Lease",
        remaining === undefined
          ? "has no end"
          : `ends in ${(remaining / 1000).toFixed(1)} s`,
      ],
      ["Kept in", status.store],
      ["Pod CIDRs", self.podCidrs.join(", ")],
      ["Addresses", self.addresses.join(", ")],
      ["Cluster CIDRs", settings.podCidrs.join(", ")],
      ["Backend", settings.backend],
      ["Other nodes", `${status.others}`],
      [
        "Refused",
        refused.map(({ name, reason }) => `${name}: ${reason}`)
          .join("; ") || "-",
      ],
      ["Failure", status.failure ?? "-"],
    ], isJson(options));
    return status.state === "ready" ? 0 : 1;
  },
});

/** Lists the nodes of the cluster. */
export const nodeLs = defineCommand({
  operands: [],
  options: outputOption,
  notes: ["This node comes first."],
  examples: ["podnet node ls", "podnet node ls -o json"],
  async run({ options, global }) {
    const { status, members } = await clusterOf(global);
    printRows<ClusterMember>([status.self, ...members], [
      ["NODE", ({ name }) => name],
      ["POD CIDRS", ({ podCidrs }) => podCidrs.join(", ")],
      ["ADDRESSES", ({ addresses }) => addresses.join(", ")],
      [
        "TUNNEL",
        ({ vxlan, wireguard }) =>
          vxlan !== undefined
            ? `vxlan ${vxlan.vni}`
            : wireguard === undefined
            ? ""
            : "wireguard",
      ],
    ], isJson(options));
    return 0;
  },
});

/** Lists the ways to other nodes' pods. */
export const nodeRoutes = defineCommand({
  operands: [],
  options: outputOption,
  notes: [
    "What should be in the kernel; podnet check compares it.",
  ],
  examples: ["podnet node routes", "podnet node routes -o json"],
  async run({ options, global }) {
    const { routes } = await clusterOf(global);
    printRows<ClusterRoute>(routes, [
      ["NETWORK", ({ destination }) => destination],
      ["NODE", ({ node }) => node ?? ""],
      ["PATH", ({ path }) => path],
      ["LINK", ({ link }) => link ?? ""],
      ["NEXT HOP", ({ gateway }) => gateway ?? ""],
    ], isJson(options));
    return 0;
  },
});

/** Draws the cluster. */
export const nodePicture = defineCommand({
  operands: [],
  options: {
    "format": {
      value: "FORMAT",
      choices: ["text", "svg"],
      help: "text (default) for a terminal, or svg",
    },
  },
  examples: [
    "podnet node picture",
    "podnet node picture --format svg > cluster.svg",
  ],
  async run({ options, global }) {
    const view = await clusterOf(global);
    const { drawCluster } = await import("../cluster_picture.ts");
    const { clusterSvg } = await import("../cluster_svg.ts");
    if (options.format === "svg") print(clusterSvg(view).trimEnd());
    else for (const line of drawCluster(view)) print(printable(line));
    return 0;
  },
});

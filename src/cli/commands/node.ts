/**
 * `podnet node up`, `podnet node show`, `podnet node watch` and `podnet node down`
 *
 * @module
 */
import {
  clusterOptions,
  joinOptions,
  namesCluster,
  refuseClusterOptions,
} from "../cluster_options.ts";
import { defineCommand } from "../command.ts";
import { nodeJson, nodeProperties } from "../describe.ts";
import { outputOption } from "../options.ts";
import { printable } from "../../text.ts";
import { isJson, print, printJson, printRecord } from "../output.ts";
import { integer } from "../numbers.ts";

import { nodeSelection, openNode } from "../session.ts";
import { UsageError } from "../usage.ts";
import { printEvents } from "../watching.ts";

/** Sets the node up. */
export const nodeUp = defineCommand({
  operands: [],
  options: {
    "pod-cidr": {
      value: "CIDR",
      repeatable: true,
      field: "podCidrs",
      help: "The node's pod network, one a family; needed the first time only",
    },
    "mtu": {
      value: "BYTES",
      field: "mtu",
      help: "The MTU of pods (default: that of the route to the outside)",
    },
    "masquerade": {
      value: "on|off",
      choices: ["on", "off"],
      field: "masquerade",
      help:
        "Whether pods reach the outside by the node's address (default: on)",
    },
    "non-masquerade-cidr": {
      value: "CIDR",
      repeatable: true,
      field: "nonMasqueradeCidrs",
      help: "Pods reach this network by their own addresses",
    },
    "max-connections-per-pod": {
      value: "COUNT",
      field: "maxConnectionsPerPod",
      help:
        "Connections that a pod may have opened, 0: no limit (default: 65536)",
    },
    ...clusterOptions,
    ...outputOption,
  },
  notes: [
    "Prints the node, and with it what had to be changed.",
    "With --etcd or --peers the node joins a cluster, which gives it its pod networks, and this command keeps it",
    "there: it prints what happens until SIGINT or SIGTERM, and exits with 0 then. With -o json every line is one",
    "object. Pods, node and ways to other nodes stay; podnet node leave takes them away.",
  ],
  examples: [
    "podnet node up --pod-cidr 10.244.1.0/24 --pod-cidr fd00:10:244:1::/64",
    "podnet node up --pod-cidr 10.244.1.0/24 --non-masquerade-cidr 10.0.0.0/8",
    "podnet node up --etcd http://192.0.2.10:2379 --cluster-cidr 10.244.0.0/16",
  ],
  async run({ options, global }) {
    const podCidrs = options["pod-cidr"];
    const nonMasqueradeCidrs = options["non-masquerade-cidr"];
    const { mtu, masquerade } = options;
    const connections = options["max-connections-per-pod"];
    const settings = {
      ...(nonMasqueradeCidrs.length > 0 && { nonMasqueradeCidrs }),
      ...(mtu !== undefined && { mtu: integer("mtu", mtu) }),
      ...(connections !== undefined && {
        maxConnectionsPerPod: integer("max-connections-per-pod", connections),
      }),
      ...(masquerade !== undefined && { masquerade: masquerade === "on" }),
    };
    if (namesCluster(options)) {
      if (podCidrs.length > 0) {
        throw new UsageError(
          "--pod-cidr and --etcd or --peers exclude each other: the cluster gives the node its pod networks",
        );
      }
      const { keepInCluster } = await import("../cluster_service.ts");
      const wanted = joinOptions(options, global, settings);
      await keepInCluster(wanted, isJson(options));
      return 0;
    }
    refuseClusterOptions(options);
    await using node = await openNode(global, {
      ...settings,
      ...(podCidrs.length > 0 && { podCidrs }),
    });
    printRecord(nodeJson(node), nodeProperties(node), isJson(options));
    return 0;
  },
});

/** Shows the node. */
export const nodeShow = defineCommand({
  operands: [],
  options: outputOption,
  examples: ["podnet node show -o json"],
  async run({ options, global }) {
    await using node = await openNode(global);
    printRecord(nodeJson(node), nodeProperties(node), isJson(options));
    return 0;
  },
});

/** Watches the node, and repairs it. */
export const nodeWatch = defineCommand({
  operands: [],
  options: {
    "repair": { help: "Mend what somebody undoes, by itself" },
    "poll": {
      value: "SECONDS",
      help:
        "How often to look where the kernel tells of nothing; 0 for never (default: 30)",
    },
    ...outputOption,
  },
  notes: [
    "Prints what happens, and what it mends, until SIGINT or SIGTERM, and exits with 0 then. With -o json every",
    "line is one object. A service manager can run it as it is; several at once do no harm.",
  ],
  examples: [
    "podnet node watch --repair",
    "podnet node watch --repair -o json",
  ],
  async run({ options, global }) {
    const { poll, repair } = options;
    const pollMs = poll === undefined ? undefined : 1000 * seconds(poll);
    await using node = await openNode(global);
    await using watch = node.watch({
      repair,
      ...(pollMs !== undefined && { pollMs }),
    });
    await printEvents(watch, isJson(options));
    return 0;
  },
});

/** @throws {UsageError} */
function seconds(text: string): number {
  if (/^\d{1,6}(\.\d{1,3})?$/.test(text)) return Number(text);
  throw new UsageError(
    `--poll ${JSON.stringify(text)}: write seconds, such as 30, or 0 for never`,
  );
}

/** Takes the node down. */
export const nodeDown = defineCommand({
  operands: [],
  options: {
    "force": {
      short: "f",
      help:
        "Also remove the sandboxes that are there; without it they are a conflict",
    },
    ...outputOption,
  },
  notes: ["Prints what was removed; nothing when there was nothing."],
  examples: ["podnet node down", "podnet node down --force"],
  async run({ options, global }) {
    const { takeNodeDown } = await import("../../../mod.ts");
    const removal = await takeNodeDown({
      ...nodeSelection(global),
      force: options.force,
    });
    if (isJson(options)) printJson(removal);
    else for (const object of removal.removed) print(printable(object));
    return 0;
  },
});

/**
 * `podnet node up`, `podnet node show` and `podnet node down`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { nodeJson, nodeProperties } from "../describe.ts";
import { outputOption } from "../options.ts";
import { isJson, print, printJson, printRecord } from "../output.ts";
import { integer } from "../sandbox_options.ts";
import { nodeSelection, openNode } from "../session.ts";

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
    ...outputOption,
  },
  notes: [
    "Prints the node, and with it what had to be changed.",
  ],
  examples: [
    "podnet node up --pod-cidr 10.244.1.0/24 --pod-cidr fd00:10:244:1::/64",
    "podnet node up --pod-cidr 10.244.1.0/24 --non-masquerade-cidr 10.0.0.0/8",
  ],
  async run({ options, global }) {
    const podCidrs = options["pod-cidr"];
    const nonMasqueradeCidrs = options["non-masquerade-cidr"];
    const { mtu, masquerade } = options;
    await using node = await openNode(global, {
      ...(podCidrs.length > 0 && { podCidrs }),
      ...(nonMasqueradeCidrs.length > 0 && { nonMasqueradeCidrs }),
      ...(mtu !== undefined && { mtu: integer("mtu", mtu) }),
      ...(masquerade !== undefined && { masquerade: masquerade === "on" }),
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
    const { removeNode } = await import("../../../mod.ts");
    const removal = await removeNode({
      ...nodeSelection(global),
      force: options.force,
    });
    if (isJson(options)) printJson(removal);
    else for (const object of removal.removed) print(object);
    return 0;
  },
});

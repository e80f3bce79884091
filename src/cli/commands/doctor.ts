/**
 * `podnet doctor`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { doctorPage } from "../doctor_page.ts";
import { outputOption } from "../options.ts";
import { isJson, print, printJson } from "../output.ts";
import { nodeSelection, refusedNode } from "../session.ts";

/** Looks at the machine. */
export const doctor = defineCommand({
  operands: [],
  options: {
    "pod-cidr": {
      value: "CIDR",
      repeatable: true,
      field: "podCidrs",
      help:
        "Judge by this pod network when the node is not set up yet, one a family",
    },
    ...outputOption,
  },
  notes: [
    "Exit code 1 when something is wrong that keeps pods from working. Changes nothing: what the kernel can do",
    "is tried in a network namespace that is gone afterwards. Works for every user, and says what it could not see.",
  ],
  examples: [
    "podnet doctor",
    "podnet doctor --pod-cidr 10.244.1.0/24",
    "podnet doctor -o json",
  ],
  async run({ options, global }) {
    const { diagnose } = await import("../../../mod.ts");
    const podCidrs = options["pod-cidr"];
    const diagnosis = await refusedNode(() =>
      diagnose({
        ...nodeSelection(global),
        ...(podCidrs.length === 0 ? {} : { podCidrs }),
      })
    );
    if (isJson(options)) printJson(diagnosis);
    else for (const line of doctorPage(diagnosis)) print(line);
    return diagnosis.healthy ? 0 : 1;
  },
});

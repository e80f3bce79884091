/**
 * `podnet gc`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { outputOption } from "../options.ts";
import { isJson, printRows } from "../output.ts";
import { openNode } from "../session.ts";

/** Collects garbage. */
export const gc = defineCommand({
  operands: [],
  options: {
    "dry-run": { short: "n", help: "Only list what would be removed" },
    "force": {
      short: "f",
      help:
        "Also remove sandboxes whose record cannot be read (the record is kept aside)",
    },
    ...outputOption,
  },
  notes: ["Prints nothing when there is no garbage."],
  examples: ["podnet gc --dry-run", "podnet gc -o json"],
  async run({ options, global }) {
    await using node = await openNode(global);
    const garbage = await node.collectGarbage({
      dryRun: options["dry-run"],
      force: options.force,
    });
    if (garbage.length > 0 || isJson(options)) {
      printRows(garbage, [
        ["KIND", (g) => g.kind],
        ["ID", (g) => g.id],
        ["REMOVED", (g) => g.removed ? "yes" : "no"],
        ["REASON", (g) => g.reason],
      ], isJson(options));
    }
    return 0;
  },
});

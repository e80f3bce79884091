/**
 * `podnet check`
 *
 * @module
 */
import type { Finding } from "../../../mod.ts";
import { defineCommand } from "../command.ts";
import { outputOption } from "../options.ts";
import { isJson, printRows } from "../output.ts";
import { openNode } from "../session.ts";

interface Row extends Finding {
  readonly mended: boolean;
}

/** Compares what is with what should be. */
export const check = defineCommand({
  operands: [],
  options: {
    "repair": { help: "Mend what was found" },
    ...outputOption,
  },
  notes: [
    "Exit code 1 when something is wrong, with --repair when something still is. Prints nothing when all is well.",
    "The node itself is put in order by every command; what had to be done is listed as mended.",
  ],
  examples: ["podnet check", "podnet check --repair -o json"],
  async run({ options, global }) {
    await using node = await openNode(global);
    const { mended, remaining } = options.repair
      ? await node.repair()
      : { mended: [], remaining: await node.check() };
    const rows: Row[] = [
      ...node.changes.map((change) => ({
        object: "node",
        problem: change,
        remedy: "",
        repairable: true,
        mended: true,
      })),
      ...mended.map((finding) => ({ ...finding, mended: true })),
      ...remaining.map((finding) => ({ ...finding, mended: false })),
    ];
    if (rows.length > 0 || isJson(options)) {
      printRows(rows, [
        ["SANDBOX", (f) => f.sandbox ?? ""],
        ["OBJECT", (f) => f.object],
        ["PROBLEM", (f) => f.problem],
        ["REMEDY", (f) => f.mended ? "mended" : f.failure ?? f.remedy],
      ], isJson(options));
    }
    const wrong = options.repair ? remaining.length : rows.length;
    return wrong > 0 ? 1 : 0;
  },
});

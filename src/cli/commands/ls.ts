/**
 * `podnet ls`
 *
 * @module
 */
import type { SandboxSummary } from "../../../mod.ts";
import { defineCommand } from "../command.ts";
import { formatPorts } from "../describe.ts";
import { outputOption } from "../options.ts";
import { isJson, print, printRows } from "../output.ts";
import { openNode } from "../session.ts";

/** Lists sandboxes. */
export const ls = defineCommand({
  operands: [],
  options: {
    "namespace": {
      value: "NS",
      help: "Only the sandboxes of this namespace (default: all)",
    },
    "quiet": { short: "q", help: "Print ids only" },
    ...outputOption,
  },
  examples: ["podnet ls", "podnet ls -q | xargs -r podnet rm -f"],
  async run({ options, global }) {
    await using node = await openNode(global);
    const all = await node.listSandboxes();
    const rows = options.namespace === undefined
      ? all
      : all.filter((s) => s.namespace === options.namespace);
    if (options.quiet) {
      for (const { id } of rows) print(id);
      return 0;
    }
    printRows(rows, [
      ["NAME", (s) => s.name ?? ""],
      ["NAMESPACE", (s) => s.namespace ?? ""],
      ["ID", (s) => s.id],
      ["STATE", (s) => s.state],
      ["ADDRESSES", (s) => addressesOf(s).join(", ")],
      ["PORTS", (s) => formatPorts(s.ports ?? [])],
      ["CREATED", (s) => s.createdAt ?? ""],
    ], isJson(options));
    return 0;
  },
});

/** Of a pod that has none of the node's own network, those of its interfaces. */
function addressesOf(
  { addresses = [], interfaces = [] }: SandboxSummary,
): readonly string[] {
  return addresses.length > 0
    ? addresses
    : interfaces.flatMap(({ addresses }) => addresses);
}

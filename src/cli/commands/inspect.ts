/**
 * `podnet inspect`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { sandboxProperties } from "../describe.ts";
import { namespaceOption, outputOption } from "../options.ts";
import { isJson, printRecord } from "../output.ts";
import { openNode, openSandbox } from "../session.ts";

/** Shows a sandbox. */
export const inspect = defineCommand({
  operands: [{ name: "NAME", completes: "sandboxes" }],
  options: { ...namespaceOption, ...outputOption },
  examples: ["podnet inspect web", "podnet inspect web -o json"],
  async run({ operands: [name = ""], options, global }) {
    await using node = await openNode(global);
    await using sandbox = await openSandbox(node, name, options);
    const json = sandbox.toJSON();
    printRecord(json, sandboxProperties(json), isJson(options));
    return 0;
  },
});

/**
 * `podnet create`
 *
 * @module
 */
import { defineCommand } from "../command.ts";
import { sandboxProperties } from "../describe.ts";
import { outputOption } from "../options.ts";
import { isJson, printRecord } from "../output.ts";
import { sandboxOptions, sandboxSpec } from "../sandbox_options.ts";
import { openNode } from "../session.ts";

/** Creates a sandbox, or finds the one that there is. */
export const create = defineCommand({
  operands: [{ name: "NAME" }],
  options: { ...sandboxOptions, ...outputOption },
  notes: [
    "The sandbox outlives the command. Creating it again with the same options finds it;",
    "with other options it is a conflict (exit code 4).",
  ],
  examples: [
    "podnet create web --pod-cidr 10.244.1.0/24 --pod-cidr fd00:10:244:1::/64",
    "podnet create web -p 8080:80 -p 127.0.0.1:5353:53/udp -o json",
  ],
  async run({ operands: [name = ""], options, global }) {
    const spec = await sandboxSpec(name, options);
    const podCidrs = options["pod-cidr"];
    await using node = await openNode(
      global,
      podCidrs.length > 0 ? { podCidrs } : {},
    );
    await using sandbox = await node.createSandbox(spec);
    const json = sandbox.toJSON();
    printRecord(json, sandboxProperties(json), isJson(options));
    return 0;
  },
});

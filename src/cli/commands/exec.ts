/**
 * `podnet exec`
 *
 * @module
 */
import { runChild, SignalForwarder } from "../child.ts";
import { defineCommand } from "../command.ts";
import { namespaceOption } from "../options.ts";
import { openNode, openSandbox } from "../session.ts";

/** Runs a command in a sandbox that there is. */
export const exec = defineCommand({
  operands: [{ name: "NAME", completes: "sandboxes" }],
  runsProgram: true,
  options: namespaceOption,
  notes: [
    "The exit code is the command's. The command keeps the caller's files (also /etc/resolv.conf and",
    "/etc/hosts: the sandbox's own are for containers to mount), working directory, environment and",
    "standard streams: only its network is the sandbox's. Signals are forwarded to it.",
  ],
  examples: ["podnet exec web -- ip address", "podnet exec web -- bash"],
  async run({ operands: [name = ""], program, options, global }) {
    using signals = new SignalForwarder();
    await using node = await openNode(global);
    await using sandbox = await openSandbox(node, name, options);
    return await runChild(signals, sandbox, program);
  },
});

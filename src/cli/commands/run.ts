/**
 * `podnet run`
 *
 * @module
 */
import { runChild, SignalForwarder } from "../child.ts";
import { defineCommand } from "../command.ts";
import { printFailure } from "../output.ts";
import { sandboxOptions, sandboxSpec } from "../sandbox_options.ts";
import { openNode } from "../session.ts";

/** Runs a command in a sandbox of its own. */
export const run = defineCommand({
  operands: [{ name: "NAME" }],
  runsProgram: true,
  options: {
    ...sandboxOptions,
    "keep": { help: "Leave the sandbox there when the command has ended" },
  },
  notes: [
    "The exit code is the command's. The command keeps the caller's files, working directory,",
    "environment and standard streams: only its network is the sandbox's. Signals are forwarded to it.",
  ],
  examples: [
    "podnet run web --pod-cidr 10.244.1.0/24 -p 8080:80 -- nginx -g 'daemon off;'",
  ],
  async run({ operands: [name = ""], program, options, global }) {
    const spec = await sandboxSpec(name, options);
    const podCidrs = options["pod-cidr"];
    using signals = new SignalForwarder();
    await using node = await openNode(
      global,
      podCidrs.length > 0 ? { podCidrs } : {},
    );
    await using sandbox = await node.createSandbox({
      ...spec,
      // Without a UID a sandbox of the same spec would be found instead of made, and removed at the end.
      uid: spec.uid ?? crypto.randomUUID(),
    });
    try {
      if (signals.exitCode !== undefined) return signals.exitCode;
      const { exitCode, failure } = await runChild(
        signals,
        program,
        (command, how) => sandbox.spawn(command, how),
      );
      if (failure !== undefined) printFailure(failure);
      return exitCode;
    } finally {
      if (!options.keep) await sandbox.remove({ force: true });
    }
  },
});

/**
 * `podnet run`
 *
 * @module
 */
import type { Node, Sandbox, SandboxSpec } from "../../../mod.ts";
import { runChild, SignalForwarder } from "../child.ts";
import { defineCommand } from "../command.ts";
import type { ExitCode } from "../errors.ts";
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
    await using sandbox = await createNew(node, spec);
    if (sandbox === undefined) return CONFLICT;
    try {
      return await runChild(signals, sandbox, program);
    } finally {
      if (!options.keep) await sandbox.remove({ force: true });
    }
  },
});

const CONFLICT: ExitCode = 4;

/**
 * Without a UID of its own a sandbox of the same spec would be found instead of made, and removed at the end.
 *
 * @returns undefined when there is one of this name already, which was told
 */
async function createNew(
  node: Node,
  spec: SandboxSpec,
): Promise<Sandbox | undefined> {
  const { isSandboxError, loadUpkeep } = await import("../library.ts");
  // What the end may need: by then podnet may have been installed anew, and what this one is made of be gone.
  await loadUpkeep();
  try {
    return await node.createSandbox({
      ...spec,
      uid: spec.uid ?? crypto.randomUUID(),
    });
  } catch (error) {
    // The UID that it differs in is nothing that the user wrote.
    if (spec.uid !== undefined || !isSandboxError(error, "SandboxConflict")) {
      throw error;
    }
    const { id, name } = error.context;
    printFailure(
      `sandbox "${name}" (${id}) exists, and run makes a new one: use another name, or podnet exec ${name} -- COMMAND`,
    );
    return undefined;
  }
}

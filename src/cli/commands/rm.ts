/**
 * `podnet rm`
 *
 * @module
 */
import type { Node } from "../../../mod.ts";
import { defineCommand } from "../command.ts";
import { namespaceOption } from "../options.ts";
import { print } from "../output.ts";
import { namespaceOf, nodeSelection } from "../session.ts";

/** How long to wait for the kernel to destroy links: it takes about 50 ms, for ever when a process holds the namespace. */
const LINKS_GONE_MS = 1000;

/** Removes sandboxes. */
export const rm = defineCommand({
  operands: [{ name: "NAME", completes: "sandboxes", repeatable: true }],
  options: {
    ...namespaceOption,
    "force": {
      short: "f",
      help:
        "Do not mind a sandbox that is not there, and remove one that has containers attached or a damaged record",
    },
  },
  notes: [
    "NAME may be an id. Prints each NAME that it removed. One that is not there is an error (exit code 3)",
    "without --force; the others are removed all the same.",
  ],
  examples: ["podnet rm web", "podnet rm -f web db"],
  async run({ operands: names, options, global, fail }) {
    const {
      blockUntilGone,
      contextOf,
      isSandboxError,
      openNode,
      SandboxError,
    } = await import("../library.ts");
    const { force } = options;
    const selected = namespaceOf(options.namespace);
    let exitCode = 0;
    try {
      await using node = await openNode(nodeSelection(global));
      const links = new Set<string>();
      for (const name of new Set(names)) {
        try {
          const link = await hostInterface(node, name, selected);
          const removed = await node.removeSandbox(name, {
            ...selected,
            force,
          });
          if (!removed && !force) {
            throw new SandboxError("SandboxNotFound", { name, ...selected });
          }
          if (removed) print(name);
          if (removed && link !== undefined) links.add(link);
        } catch (error) {
          const failed = await fail(error);
          exitCode ||= failed;
        }
      }
      // Scripts look for the links as soon as the command has ended, and the kernel destroys them on its own time.
      if (links.size > 0) blockUntilGone(contextOf(node), links, LINKS_GONE_MS);
    } catch (error) {
      if (!(force && isSandboxError(error, "NodeNotFound"))) throw error;
    }
    return exitCode;
  },
});

/** Undefined also for a sandbox that cannot be opened: it can be removed all the same. */
async function hostInterface(
  node: Node,
  name: string,
  selected: { readonly namespace?: string },
): Promise<string | undefined> {
  try {
    await using sandbox = await node.openSandbox(name, selected);
    return sandbox.hostInterface;
  } catch {
    return undefined;
  }
}

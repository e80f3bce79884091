/**
 * The node that a command acts on.
 *
 * @module
 */
import type { Node, NodeOptions, Sandbox } from "../../mod.ts";
import type { GlobalValues } from "./options.ts";

/** Which node, from the options that every command has. */
export function nodeSelection(
  global: GlobalValues,
): Pick<NodeOptions, "name" | "stateDir" | "netns"> {
  const { node, netns } = global;
  const stateDir = global["state-dir"];
  return {
    ...(node === undefined ? {} : { name: node }),
    ...(stateDir === undefined ? {} : { stateDir }),
    ...(netns === undefined
      ? {}
      : { netns: /^\d+$/.test(netns) ? Number(netns) : netns }),
  };
}

/**
 * Opens the node.
 *
 * @param settings for commands that may be the first on it; without pod CIDRs it must have been set up before
 */
export async function openNode(
  global: GlobalValues,
  settings: NodeOptions = {},
): Promise<Node> {
  const library = await import("./library.ts");
  return await refusedNode(() =>
    library.openNode({ ...nodeSelection(global), ...settings })
  );
}

/** Sandboxes have names and namespaces too: says of what `call` refuses that it is the node's that is wrong. */
export async function refusedNode<T>(call: () => Promise<T>): Promise<T> {
  const library = await import("./library.ts");
  try {
    return await call();
  } catch (error) {
    if (!library.isSandboxError(error, "InvalidSpec")) throw error;
    const problems = error.context.problems.map((problem) => {
      // Whoever joins a cluster writes the node's options inside.
      const field = problem.path.replace(/^node\./, "");
      const path = nodeOptions.get(field) ?? field;
      return { ...problem, path };
    });
    throw new library.SandboxError("InvalidSpec", { problems }, {
      cause: error,
    });
  }
}

/** The options that select a node, by the names that the library has for them. */
const nodeOptions: ReadonlyMap<string, string> = new Map([
  ["name", "--node"],
  ["netns", "--netns"],
  ["stateDir", "--state-dir"],
]);

/** Opens the sandbox that NAME and `--namespace` mean. */
export async function openSandbox(
  node: Node,
  name: string,
  { namespace }: { readonly namespace: string | undefined },
): Promise<Sandbox> {
  return await node.openSandbox(name, namespaceOf(namespace));
}

/** `--namespace` as the library takes it. */
export function namespaceOf(
  namespace: string | undefined,
): { readonly namespace?: string } {
  return namespace === undefined ? {} : { namespace };
}

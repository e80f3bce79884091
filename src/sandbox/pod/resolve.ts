/**
 * Which sandbox an id or a name means.
 *
 * @module
 */
import { SandboxError } from "../../errors.ts";
import type { NodeContext } from "../node/context.ts";
import { Pacer } from "../node/pacer.ts";
import { isId, sandboxId } from "../records/identity.ts";
import type { NodeState } from "../records/node_state.ts";

/** The namespace of a name that comes without one, as in specs. */
const DEFAULT = "default";

/**
 * The id of the sandbox; undefined when nothing of it is in the state directory. A name that no id follows from is looked for
 * in all records, which has to be waited for.
 *
 * @throws {SandboxError} `InvalidSpec` when several of the namespace, with ids of their own, have the name
 */
export function resolveSandbox(
  { state }: NodeContext,
  idOrName: string,
  namespace: string | undefined,
): string | undefined | Promise<string | undefined> {
  return possibleIds(idOrName, namespace).find((id) => state.hasSandbox(id)) ??
    findNamed(state, idOrName, namespace ?? DEFAULT);
}

/** Its id was given by the caller. Never one of another namespace: a second removal must not find another pod. */
async function findNamed(
  state: NodeState,
  name: string,
  namespace: string,
): Promise<string | undefined> {
  const pacer = new Pacer(() => state.refuseClosed());
  const named: string[] = [];
  for (const id of state.sandboxIds()) {
    await pacer.pause();
    const spec = state.readableSandbox(id)?.spec;
    if (spec?.name === name && spec.namespace === namespace) named.push(id);
  }
  if (named.length <= 1) return named[0];
  throw new SandboxError("InvalidSpec", {
    problems: [{
      path: "namespace",
      message: `${named.length} sandboxes are named "${name}": say the id`,
    }],
  });
}

/** The ids that it may have had, for one that has left nothing in the state directory. */
export function possibleIds(
  idOrName: string,
  namespace: string | undefined,
): string[] {
  const derived = sandboxId(namespace ?? DEFAULT, idOrName);
  return namespace === undefined && isId(idOrName)
    ? [idOrName, derived]
    : [derived];
}

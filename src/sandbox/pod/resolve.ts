/**
 * Which sandbox an id or a name means.
 *
 * @module
 */
import { SandboxError } from "../../errors.ts";
import type { NodeContext } from "../node/context.ts";
import { isId, sandboxId } from "../records/identity.ts";

/** The namespace of a name that comes without one, as in specs. */
const DEFAULT = "default";

/**
 * The id of the sandbox; undefined when nothing of it is in the state directory.
 *
 * @throws {SandboxError} `InvalidSpec` when several of the namespace, with ids of their own, have the name
 */
export function resolveSandbox(
  { state }: NodeContext,
  idOrName: string,
  namespace: string | undefined,
): string | undefined {
  const ids = possibleIds(idOrName, namespace);
  if (ids.length === 0) return undefined;
  const id = ids.find((id) => state.hasSandbox(id));
  if (id !== undefined) return id;
  // Its id was given by the caller. Never one of another namespace: a second removal must not find another pod.
  const [found, ...others] = state.sandboxIds()
    .flatMap((id) => state.readableSandbox(id) ?? [])
    .filter(({ spec }) =>
      spec.name === idOrName && spec.namespace === (namespace ?? DEFAULT)
    );
  if (others.length === 0) return found?.id;
  throw new SandboxError("InvalidSpec", {
    problems: [{
      path: "namespace",
      message: `${
        others.length + 1
      } sandboxes are named "${idOrName}": say the id`,
    }],
  });
}

/** The ids that it may have had, for one that has left nothing in the state directory. */
export function possibleIds(
  idOrName: string,
  namespace: string | undefined,
): string[] {
  // Names are made of the same letters.
  if (!isId(idOrName)) return [];
  const derived = sandboxId(namespace ?? DEFAULT, idOrName);
  return namespace === undefined ? [idOrName, derived] : [derived];
}

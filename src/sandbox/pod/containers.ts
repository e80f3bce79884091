/**
 * Containers of a sandbox.
 *
 * @module
 */
import { SandboxError } from "../../errors.ts";
import type { NormalisedContainer } from "../../spec/sandbox_spec.ts";

/**
 * The containers with another one; the same list when it is there already.
 *
 * @throws {SandboxError} `ContainerConflict`, `ContainerPortInUse`
 */
export function withContainer(
  containers: readonly NormalisedContainer[],
  added: NormalisedContainer,
): readonly NormalisedContainer[] {
  const same = containers.find(({ name }) => name === added.name);
  if (same === undefined) {
    refuseSharedPort(containers, added);
    return [...containers, added];
  }
  if (JSON.stringify(same) === JSON.stringify(added)) return containers;
  throw new SandboxError("ContainerConflict", { name: added.name });
}

function refuseSharedPort(
  containers: readonly NormalisedContainer[],
  added: NormalisedContainer,
): void {
  for (const other of containers) {
    for (const { port, protocol } of added.ports) {
      if (
        other.ports.some((p) => p.port === port && p.protocol === protocol)
      ) {
        throw new SandboxError("ContainerPortInUse", {
          port,
          protocol,
          containers: [other.name, added.name],
        });
      }
    }
  }
}

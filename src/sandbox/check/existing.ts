/**
 * A sandbox that exists already, and is asked for again.
 *
 * @module
 */
import { SandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { specDifferences } from "../../spec/differences.ts";
import type { NormalisedSpec } from "../../spec/sandbox_spec.ts";
import { mendSandbox } from "./sandbox_check.ts";
import type { NodeContext } from "../node/context.ts";
import type { SandboxRecord } from "../records/records.ts";

/**
 * Mends what it has lost. Its lock is held.
 *
 * @returns undefined when it cannot be mended, and is to be made anew
 * @throws {SandboxError} `SandboxConflict` when it is another than the spec asks for; `InvalidNamespace`
 */
export function asRequested(
  context: NodeContext,
  existing: SandboxRecord,
  spec: NormalisedSpec,
): SandboxRecord | undefined {
  refuse(existing, specDifferences(existing.spec, spec));
  const mended = mendSandbox(context, existing);
  if (mended !== undefined && spec.netns !== undefined) {
    refuse(existing, namespaceDifferences(existing, spec.netns));
  }
  return mended;
}

/** A path may lead to another namespace than it did. */
function namespaceDifferences(
  { netnsId }: SandboxRecord,
  path: string,
): string[] {
  using requested = NetworkNamespace.open(path);
  if (requested.id === netnsId) return [];
  return [`network namespace (${netnsId}, ${path} leads to ${requested.id})`];
}

function refuse(
  { id, spec: { name } }: SandboxRecord,
  differences: readonly string[],
): void {
  if (differences.length === 0) return;
  throw new SandboxError("SandboxConflict", { id, name, differences });
}

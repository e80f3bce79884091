/**
 * Which bridges sandboxes have ports of.
 *
 * @module
 */
import type { NormalisedInterface } from "../../spec/sandbox_spec.ts";

/** The names of the bridges that a record or spec tells of. */
export function bridgesOf(
  interfaces: readonly Pick<NormalisedInterface, "attachment">[],
): string[] {
  return interfaces.flatMap(({ attachment }) =>
    attachment.type === "bridge" ? [attachment.bridge] : []
  );
}

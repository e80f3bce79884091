/**
 * Whether the namespace that a record tells of is still there.
 *
 * @module
 */
import { isSandboxError } from "../errors.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import type { NodeContext } from "./context.ts";
import type { SandboxRecord } from "./records.ts";

/** Whether the pin still leads to the namespace that was made; a reboot or an unmount leaves an empty file. */
export function isAlive(
  { state }: NodeContext,
  record: SandboxRecord,
): boolean {
  try {
    using namespace = NetworkNamespace.open(state.pinPath(record.id));
    return namespace.id === record.netnsId;
  } catch (error) {
    if (isSandboxError(error, "InvalidNamespace")) return false;
    throw error;
  }
}

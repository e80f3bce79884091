/**
 * Whether the sandbox of a handle is still there, and not another one of its id that was made since: the number of a
 * namespace does not tell, since the kernel gives it again.
 *
 * @module
 */
import { isSandboxError, SandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { NodeContext } from "../node/context.ts";
import type { SandboxRecord } from "../records/records.ts";

/**
 * One whose record is damaged or lost is not taken for gone.
 *
 * @throws {SandboxError} `SandboxNotFound`
 */
export function refuseGone(
  { state }: Pick<NodeContext, "state">,
  { id, createdAt, spec: { name, namespace } }: SandboxRecord,
): void {
  let record: SandboxRecord | undefined;
  try {
    record = state.readSandbox(id);
  } catch (error) {
    if (isSandboxError(error, "RecordInvalid")) return;
    throw error;
  }
  const isGone = record === undefined
    ? !state.hasSandbox(id)
    : record.createdAt !== createdAt;
  if (isGone) throw new SandboxError("SandboxNotFound", { name, namespace });
}

/**
 * Opens the namespace of a sandbox.
 *
 * @throws {SandboxError} `SandboxNotFound`, `InvalidNamespace`, `NotPermitted`
 */
export function openOwnNamespace(
  { state }: Pick<NodeContext, "state">,
  record: SandboxRecord,
): NetworkNamespace {
  using opened = new DisposableStack();
  try {
    return opened.use(NetworkNamespace.open(state.pinPath(record.id)));
  } finally {
    // Asked afterwards, so that it is this sandbox's pin that was opened, or that is not there.
    refuseGone({ state }, record);
    opened.move();
  }
}

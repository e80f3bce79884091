/**
 * The bandwidth of a sandbox that exists, limited anew.
 *
 * @module
 */
import { shapingDifferences } from "../../attachment/check_bandwidth.ts";
import { SandboxError } from "../../errors.ts";
import type { Bandwidth } from "../../net/bandwidth.ts";
import type { NodeContext } from "../node/context.ts";
import { newIndex } from "../records/identity.ts";
import { recordedLink } from "./recorded_wiring.ts";
import type { SandboxRecord } from "../records/records.ts";
import { UndoStack } from "../records/undo.ts";

/**
 * Sets the limits, all of them or none.
 *
 * @param wanted undefined for no limits
 * @returns the record with them, which is written
 * @throws {SandboxError} `InvalidSpec` on the host network, `StateUnusable`
 */
export function limitBandwidth(
  context: NodeContext,
  record: SandboxRecord,
  wanted: Bandwidth | undefined,
): SandboxRecord {
  if (record.link === undefined) {
    if (wanted === undefined) return record;
    throw new SandboxError("InvalidSpec", {
      problems: [{
        path: "bandwidth",
        message: record.spec.hostNetwork
          ? "leave it out: on the host network the pod has the node's own network, which podnet does not change"
          : 'leave it out: it is for the interface that a pod with the attachment "none" does not have',
      }],
    });
  }
  const { state } = context;
  const { bandwidth: _, ...rest } = record;
  const changed: SandboxRecord = {
    ...rest,
    ...(wanted === undefined ? {} : { bandwidth: wanted }),
  };
  // A shaper is noted before it is made, and until it is gone.
  const notesFirst = wanted?.egress !== undefined;
  const undo = new UndoStack();
  try {
    if (notesFirst) {
      state.writeSandbox(changed);
      undo.push(() => state.writeSandbox(record));
    }
    undo.push(() => apply(context, record));
    apply(context, changed);
    if (!notesFirst) state.writeSandbox(changed);
    return changed;
  } catch (error) {
    throw undo.rollBack(error);
  }
}

function apply(context: NodeContext, record: SandboxRecord): void {
  const { link } = record;
  if (link === undefined) return;
  const wiring = recordedLink(context, { ...record, link });
  const { route } = context.sockets;
  for (const { mend } of shapingDifferences(route, wiring, newIndex)) mend?.();
}

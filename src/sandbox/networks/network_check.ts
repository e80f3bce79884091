/**
 * What is wrong with what plugins have attached a sandbox to, as far as podnet's own notes tell: what plugins have made only
 * they can judge, by CHECK.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import type { NodeContext } from "../node/context.ts";
import { type Difference, difference } from "../node/finding.ts";
import { type NetworkNote, NetworkNotes } from "../records/network_notes.ts";
import type { SandboxRecord } from "../records/records.ts";

/**
 * Attachments that came to no end. None while somebody is at work on them: whoever does has them noted as unfinished
 * meanwhile.
 *
 * @param record of a sandbox whose lock the caller holds
 */
export async function attachmentDifferences(
  { state }: NodeContext,
  { id, createdAt, spec }: SandboxRecord,
): Promise<Difference[]> {
  const sandbox = `${spec.namespace}/${spec.name}`;
  const isLeft = (note: NetworkNote) =>
    note.state !== "ready" || note.incarnation !== createdAt;
  try {
    using notes = await NetworkNotes.lock(state, id, { timeoutMs: 0 });
    return (notes?.list() ?? []).filter(isLeft).map(({ name, network }) =>
      difference(
        sandbox,
        `attachment ${name} to network ${network}`,
        "its plugins did not finish",
        { advice: "attach it again, or detach it (podnet cni del)" },
      )
    );
  } catch (error) {
    if (isSandboxError(error, "Timeout")) return [];
    const isDamaged = isSandboxError(error, "RecordInvalid");
    if (!isDamaged && !isSandboxError(error, "StateUnusable")) throw error;
    const { path, reason } = error.context;
    const object = `${isDamaged ? "record" : "directory"} ${path}`;
    return [
      difference(sandbox, object, reason, {
        advice: "remove the sandbox with force (podnet rm --force)",
      }),
    ];
  }
}

/**
 * The end of a removal that is one of many: what is left goes later.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/fd.ts";
import { unlinkAt } from "../../../ffi/file_at.ts";
import { unusable } from "../../state/store.ts";
import { isPinAt } from "../../namespace/pin.ts";
import type { IpAddress } from "../../net/ip.ts";
import type { NodeContext } from "../node/context.ts";
import { PIN } from "../records/pinned_directory.ts";
import type { SandboxRecord } from "../records/records.ts";
import { RECORD } from "../records/sandbox_records.ts";

/** What a sandbox still has when its host ports are closed. */
export interface Claims {
  readonly link: NonNullable<SandboxRecord["link"]>;
  readonly addresses: readonly IpAddress[];
}

/**
 * Leaves a sandbox that has nothing any more but its namespace and its files to be finished later.
 *
 * @param directory the sandbox's, which is locked
 * @returns false when it has more, is not what its record tells, or cannot be moved: then it is still to be removed
 * @throws {SandboxError} `StateUnusable`
 */
export function putAside(
  { state, late }: NodeContext,
  { id, netnsId, spec, interfaces, bandwidth, state: made }: SandboxRecord,
  directory: OwnedFd,
  claims: Claims | undefined,
): boolean {
  if (
    claims === undefined || made !== "ready" || spec.netns !== undefined ||
    interfaces.length > 0 || bandwidth?.egress !== undefined ||
    !isPinAt(directory, PIN, netnsId)
  ) return false;
  // Whoever has it open sees by its links that the sandbox is gone, also when this process dies now.
  try {
    unlinkAt(directory, RECORD);
  } catch (error) {
    throw unusable(state.records.path(id), error);
  }
  const { hostInterface, hostIndex } = claims.link;
  if (!state.removed.add(state.sandboxDirectory(id), hostInterface)) {
    return false;
  }
  const files = state.records.take(id);
  if (late === undefined) files?.[Symbol.dispose]();
  else late.add(hostInterface, hostIndex, files);
  return true;
}

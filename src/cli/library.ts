/**
 * What of the public API makes, finds and removes pods, and what the commands need besides. All of it, `mod.ts`, takes twice
 * as long to load.
 *
 * @module
 */
export { SyscallError } from "../../ffi/errno.ts";
export { UnsupportedPlatformError } from "../../ffi/platform.ts";
export { isSandboxError, SandboxError } from "../errors.ts";
export { parsePublish } from "../hostport/mapping.ts";
export { parseBandwidth } from "../net/bandwidth.ts";
export { NetlinkError } from "../netlink/netlink_error.ts";
export { contextOf } from "../sandbox/node.ts";
export { blockUntilGone } from "../sandbox/node/pod_links.ts";
export { openNode } from "../sandbox/open_node.ts";
export { recordedSandboxes } from "../sandbox/recorded_sandboxes.ts";

/** Loads what is otherwise loaded when it is asked for. */
export async function loadUpkeep(): Promise<void> {
  await import("../sandbox/upkeep.ts");
}

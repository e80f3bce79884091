/**
 * What a program that makes a pod and ends has no use for. It is loaded when it is asked for, as one: each module that is
 * loaded by itself makes all others start later, since the runtime reads their list first.
 *
 * @module
 */
export { checkNode, repairNode } from "./check.ts";
export { collectGarbage } from "./garbage.ts";
export { limitBandwidth } from "./live_bandwidth.ts";
export { createTable, replaceTable } from "./make_table.ts";
export { collectNetworkGarbage, statusOf } from "./network_garbage.ts";
export { tidyNotes } from "./network_plugins.ts";
export { attachNetwork, checkAttachment, detachNetwork } from "./networks.ts";
export { releaseNetworks, releaseOrLeave } from "./release_networks.ts";
export { mendSandbox } from "./sandbox_check.ts";
export { Watchman } from "./watchman.ts";

/**
 * What a program that makes a plain pod, or removes one, and ends has no use for. It is loaded when it is asked for, as one: each module that is
 * loaded by itself makes all others start later, since the runtime reads their list first.
 *
 * @module
 */
export { checkNode, repairNode } from "./check/check.ts";
export { asRequested } from "./check/existing.ts";
export { collectGarbage } from "./garbage/garbage.ts";
export {
  attachInterfaces,
  attachToSandbox,
  detachInterface,
  releaseInterfaces,
} from "./pod/interfaces.ts";
export { requireLinks } from "./pod/make_interface.ts";
export { buildOnHostNetwork, buildUnrouted } from "./pod/build_unrouted.ts";
export {
  bridgesLeftBy,
  removeBridges,
  sweepBridges,
  sweptIfItFails,
} from "./node/bridges.ts";
export { removePathParts } from "./node/path_parts.ts";
export { removeRemains } from "./pod/remains.ts";
export { limitBandwidth } from "./pod/live_bandwidth.ts";
export { createTable, replaceTable } from "./node/make_table.ts";
export { collectNetworkGarbage, statusOf } from "./networks/network_garbage.ts";
export { tidyNotes } from "./networks/network_plugins.ts";
export {
  attachNetwork,
  checkAttachment,
  detachNetwork,
} from "./networks/networks.ts";
export {
  releaseNetworks,
  releaseOrLeave,
} from "./networks/release_networks.ts";
export { Watchman } from "./watch/watchman.ts";

/**
 * All commands but those that scripts run for each pod.
 *
 * @module
 */
export { check } from "./check.ts";
export {
  nodeLeave,
  nodeLs,
  nodePicture,
  nodeRoutes,
  nodeStatus,
} from "./cluster.ts";
export { cniInstall, cniUninstall } from "./cni.ts";
export { cniAdd, cniCheck, cniDel, cniGc, cniStatus } from "./cni_networks.ts";
export { completions } from "./completions.ts";
export { doctor } from "./doctor.ts";
export { events } from "./events.ts";
export { exec } from "./exec.ts";
export { gc } from "./gc.ts";
export { help } from "./help.ts";
export { inspect } from "./inspect.ts";
export { install, uninstall } from "./install.ts";
export { ls } from "./ls.ts";
export { nodeDown, nodeShow, nodeUp, nodeWatch } from "./node.ts";
export {
  ociHook,
  ociHookConfig,
  ociHookInstall,
  ociHookUninstall,
} from "./oci_hook.ts";
export { ports, portsAdd, portsRemove } from "./ports.ts";
export { run } from "./run.ts";

/**
 * The commands that scripts run for each pod.
 *
 * @module
 */
export { create } from "./create.ts";
export { rm } from "./rm.ts";

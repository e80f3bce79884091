/**
 * The commands of the plugin that do something, and what is told of those that fail.
 *
 * @module
 */
export { add } from "./add.ts";
export { check } from "./check.ts";
export { del } from "./delete.ts";
export { failureOf } from "./failure.ts";
export { gc } from "./garbage.ts";
export { status } from "./status.ts";

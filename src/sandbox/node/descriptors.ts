/**
 * Room for descriptors, made before they are needed.
 *
 * @module
 */
import { growDescriptorTable } from "../../../ffi/process.ts";

/** A handle of a sandbox holds one at most, a namespace that was made ahead five; a table of this size takes 36 KB. */
const DESCRIPTORS = 4096;

/**
 * The table holds 64 at first, and a program that has made so few sandboxes is far from it. One that makes a single one,
 * like a command, ends sooner than the table grows.
 */
const FEW = 5;

/** Of this process, whose table it is. */
let made = 0;

/**
 * Call it whenever something is made that may hold descriptors. Costs nothing but once: then the caller waits some 10 ms,
 * the event loop does not.
 */
export function expectDescriptors(): Promise<void> | undefined {
  return ++made === FEW ? growDescriptorTable(DESCRIPTORS) : undefined;
}

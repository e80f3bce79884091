/**
 * Other processes that have a node open and do what they are told.
 *
 * @module
 */
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";

/** Path of a namespace for other processes. */
export function namespacePath(namespace: NetworkNamespace): string {
  return `/proc/${Deno.pid}/fd/${namespace.fd}`;
}

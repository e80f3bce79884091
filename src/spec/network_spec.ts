/**
 * Networks of the Container Network Interface that a pod is attached to: what callers write. What reads it is loaded when
 * there is something to read.
 * @module
 */

import type { JsonObject } from "../cni/model/json.ts";

/** A network whose plugins are to be run. */
export interface NetworkSpec {
  /**
   * The configuration: a list of plugins, or a single one, as JSON text or as what that stands for. `findNetwork()` reads
   * the files of an administrator.
   */
  readonly conflist: string | JsonObject;
  /**
   * Directories of plugins, absolute paths, searched in this order: `CNI_PATH`.
   * @default ["/opt/cni/bin", "/usr/lib/cni"]
   */
  readonly pluginDirs?: readonly string[];
  /**
   * Where attachments are noted for the tools of the reference runtime library, below `results`.
   * @default "/var/lib/cni"
   */
  readonly cacheDir?: string;
  /**
   * When a plugin that hangs is killed, in milliseconds.
   * @default 60_000
   */
  readonly timeoutMs?: number;
}

/** A network that a pod is attached to. */
export interface NetworkAttachmentSpec extends NetworkSpec {
  /**
   * Name of the interface in the pod.
   * @default the first of net1, net2, … that is free
   */
  readonly name?: string;
  /**
   * `CNI_ARGS`.
   * @default {}
   */
  readonly args?: Readonly<Record<string, string>>;
  /**
   * What is said of the pod to the plugins that have the capability, such as `portMappings`, `bandwidth`, `ips` or `mac`.
   * @default {}
   */
  readonly runtimeConfig?: JsonObject;
}

/** Tells it from an interface that podnet makes itself; whether it is valid is another matter. */
export function isNetworkAttachment<T>(
  spec: T | NetworkAttachmentSpec,
): spec is NetworkAttachmentSpec {
  return typeof spec === "object" && spec !== null && "conflist" in spec;
}

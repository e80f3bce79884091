/**
 * The sysctls of a pod that lives.
 *
 * @module
 */
import { SandboxError } from "../../errors.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { readSysctl, writeSysctl } from "../../namespace/sysctl.ts";

/** The sysctls of a pod. */
export interface SandboxSysctl {
  /** Reads `net.*`; the name as sysctl(8) has it. */
  get(name: string): string;
  /** Writes `net.*` until the sandbox is removed. */
  set(name: string, value: string | number): void;
}

/** @param open the pod's namespace, which stays the caller's */
export function podSysctl(
  open: () => NetworkNamespace,
  hostNetwork: boolean,
): SandboxSysctl {
  return {
    get: (name) => readSysctl(open(), name),
    set: (name, value) => {
      if (hostNetwork) {
        throw new SandboxError("InvalidSpec", {
          problems: [{
            path: name,
            message: "is the node's own on the host network: leave it alone",
          }],
        });
      }
      writeSysctl(open(), name, value);
    },
  };
}

/**
 * A place in a cluster that a node holds, without a join.
 *
 * @module
 */
import { uptimeMs } from "../../ffi/process.ts";
import type { Place } from "../../src/cluster/place.ts";
import type { Lease } from "../../src/cluster/store.ts";

/** Whose it is. */
export const self = {
  name: "n1",
  podCidrs: ["10.244.1.0/24"],
  addresses: ["192.168.50.1"],
};

/** The place, by a lease that begins now. */
export function place(lease: Lease): Place {
  return {
    settings: {
      podCidrs: ["10.244.0.0/16"],
      nodePrefixLength4: 24,
      nodePrefixLength6: 64,
      backend: "auto",
      vni: 112,
      vxlanPort: 4789,
    },
    settingsText: "{}",
    self,
    lease,
    endsAtMs: uptimeMs() + lease.ttlMs,
  };
}

/**
 * What a crash or a reboot left of a sandbox.
 *
 * @module
 */
import { releaseAddresses } from "../../attachment/address_claims.ts";
import { flushConntrack } from "../../conntrack/conntrack.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { NodeContext } from "../node/context.ts";
import type { SandboxRecord } from "../records/records.ts";
import { releaseInterfaces } from "./interfaces.ts";
import { claimsOf, closeHostPorts, dropNamespace } from "./remove.ts";

/**
 * Takes away what the kernel has of a sandbox whose lock the caller holds. Without a record that is the pin: the record
 * is written before anything that would outlive the pin.
 */
export function removeRemains(
  context: NodeContext,
  id: string,
  record: SandboxRecord | undefined,
): void {
  const { state, sockets } = context;
  if (record === undefined) return NetworkNamespace.unpin(state.pinPath(id));
  flushConntrack(sockets.nft.netlink, closeHostPorts(context, record));
  const claims = claimsOf(context, record);
  if (claims !== undefined) {
    const { hostIndex } = claims.link;
    releaseAddresses(sockets.route, hostIndex, claims.addresses);
  }
  releaseInterfaces(context, record, { force: true });
  dropNamespace(context, record, claims);
}

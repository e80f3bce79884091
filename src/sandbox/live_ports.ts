/**
 * Host ports of a sandbox that exists, opened and closed.
 *
 * @module
 */
import {
  claimHostPorts,
  refuseTakenHostPorts,
  releaseHostPorts,
} from "../hostport/host_ports.ts";
import {
  type HostPort,
  type SinglePortMapping,
  toHostPort,
} from "../hostport/mapping.ts";
import { describeOwner, nodeAddresses, type NodeContext } from "./context.ts";
import { addressesOf, type SandboxRecord } from "./records.ts";

/**
 * Opens all of the ports or none. On the host network nothing is to be opened, and what is taken is refused all the same.
 *
 * @throws {SandboxError} `HostPortInUse`, `HostAddressUnknown`
 */
export function openPorts(
  context: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): void {
  if (ports.length === 0) return;
  const owner = { id: record.id, addresses: addressesOf(record) };
  const options = {
    nodeAddresses: nodeAddresses(context),
    describeOwner: (id: string) => describeOwner(context, id),
    withHairpin: false,
  };
  const mappings = hostPorts(record, ports);
  if (record.spec.hostNetwork) {
    refuseTakenHostPorts(context.sockets, owner, mappings, options);
  } else {
    claimHostPorts(context.sockets, owner, mappings, options);
  }
}

/** Closes the ports; connections through them end. */
export function closePorts(
  { sockets }: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): void {
  if (record.spec.hostNetwork) return;
  const owner = { id: record.id, addresses: addressesOf(record) };
  releaseHostPorts(sockets, owner, hostPorts(record, ports), {
    withHairpin: false,
  });
}

function hostPorts(
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): HostPort[] {
  const families = addressesOf(record).map(({ family }) => family);
  return ports.map((port) => toHostPort(port, families));
}

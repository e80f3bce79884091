/**
 * Host ports of a sandbox that exists, opened and closed.
 *
 * @module
 */
import { claimHostPorts, releaseHostPorts } from "../hostport/host_ports.ts";
import {
  type HostPort,
  type SinglePortMapping,
  toHostPort,
} from "../hostport/mapping.ts";
import { describeOwner, nodeAddresses, type NodeContext } from "./context.ts";
import { addressesOf, portOwner, type SandboxRecord } from "./records.ts";

/**
 * Opens all of the ports or none. On the host network they are claimed, and nothing is translated.
 *
 * @throws {SandboxError} `HostPortInUse`, `HostAddressUnknown`
 */
export function openPorts(
  context: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): void {
  if (ports.length === 0) return;
  claimHostPorts(
    context.sockets,
    portOwner(record),
    hostPorts(record, ports),
    {
      nodeAddresses: nodeAddresses(context),
      describeOwner: (id: string) => describeOwner(context, id),
      withHairpin: false,
    },
  );
}

/** Closes the ports; connections through them end. */
export function closePorts(
  { sockets }: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): void {
  releaseHostPorts(sockets, portOwner(record), hostPorts(record, ports), {
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

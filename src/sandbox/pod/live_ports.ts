/**
 * Host ports of a sandbox: claimed when it is made, opened and closed while it lives.
 *
 * @module
 */
import {
  claimHostPorts,
  type ClaimOptions,
  releaseHostPorts,
} from "../../hostport/host_ports.ts";
import { elementsOf } from "../../hostport/elements.ts";
import {
  comparePortMappings,
  type HostPort,
  type SinglePortMapping,
  toHostPorts,
} from "../../hostport/mapping.ts";
import { TABLE } from "../../hostport/sets.ts";
import {
  describeOwner,
  nodeAddresses,
  type NodeContext,
} from "../node/context.ts";
import {
  addressesOf,
  hostPortsOf,
  portOwner,
  type SandboxRecord,
} from "../records/records.ts";
import { UndoStack } from "../records/undo.ts";

/** Whether the record names the port. */
export function hasPort(
  { ports }: SandboxRecord,
  port: SinglePortMapping,
): boolean {
  for (const other of ports) {
    if (comparePortMappings(other, port) === 0) return true;
  }
  return false;
}

/**
 * Claims all ports of a sandbox that is being made, and that it may reach itself by them.
 *
 * @throws {SandboxError} `HostPortInUse`, `HostAddressUnknown`
 */
export function claimNewPorts(
  context: NodeContext,
  record: SandboxRecord,
  undo: UndoStack,
): void {
  const { sockets } = context;
  const ports = hostPortsOf(record);
  const owner = portOwner(record);
  const withHairpin = true;
  undo.push(() => releaseHostPorts(sockets, owner, ports, { withHairpin }));
  claimHostPorts(sockets, owner, ports, asks(context, withHairpin));
}

/** What claiming asks of the node. */
function asks(context: NodeContext, withHairpin: boolean): ClaimOptions {
  return {
    withHairpin,
    nodeAddresses: () => nodeAddresses(context),
    describeOwner: (id) => describeOwner(context, id),
  };
}

/**
 * Opens all of the ports or none; those that are open already stay. On the host network they are claimed, and nothing is
 * translated.
 *
 * @returns the record with them, which is written
 * @throws {SandboxError} `HostPortInUse`, `HostAddressUnknown`, `StateUnusable`
 */
export function openPorts(
  context: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): SandboxRecord {
  const { state } = context;
  const added = ports.filter((port) => !hasPort(record, port));
  // A process may have died between note and claim.
  const shut = ports.filter((port) =>
    hasPort(record, port) && isShut(context, record, port)
  );
  const undo = new UndoStack();
  try {
    let changed = record;
    if (added.length > 0) {
      // The note goes first: what it names in vain is harmless, what it does not name would be lost.
      changed = {
        ...record,
        ports: [...record.ports, ...added].sort(comparePortMappings),
      };
      state.writeSandbox(changed);
      undo.push(() => state.writeSandbox(record));
    }
    undo.push(() => release(context, record, added));
    claim(context, record, [...added, ...shut]);
    return changed;
  } catch (error) {
    throw undo.rollBack(error);
  }
}

/**
 * Closes those of the ports that the sandbox has; connections through them end.
 *
 * @returns the record without them, which is written
 * @throws {SandboxError} `StateUnusable`; the ports are open again then
 */
export function closePorts(
  context: NodeContext,
  record: SandboxRecord,
  unwanted: readonly SinglePortMapping[],
): SandboxRecord {
  const isUnwanted = (port: SinglePortMapping) =>
    unwanted.some((other) => comparePortMappings(other, port) === 0);
  const removed = record.ports.filter(isUnwanted);
  if (removed.length === 0) return record;
  const changed = {
    ...record,
    ports: record.ports.filter((port) => !isUnwanted(port)),
  };
  const undo = new UndoStack();
  undo.push(() => claim(context, record, removed));
  try {
    release(context, record, removed);
    // The note goes last, for what it does not name would be lost.
    context.state.writeSandbox(changed);
    return changed;
  } catch (error) {
    throw undo.rollBack(error);
  }
}

function claim(
  context: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): void {
  if (ports.length === 0) return;
  claimHostPorts(
    context.sockets,
    portOwner(record),
    hostPorts(record, ports),
    asks(context, false),
  );
}

function release(
  { sockets }: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): void {
  releaseHostPorts(sockets, portOwner(record), hostPorts(record, ports), {
    withHairpin: false,
  });
}

/** Whether the kernel does not have the port as this sandbox's, whatever the record says. */
function isShut(
  { sockets: { nft } }: NodeContext,
  record: SandboxRecord,
  port: SinglePortMapping,
): boolean {
  return elementsOf(hostPorts(record, [port]), portOwner(record)).some((
    { set, element: { key } },
  ) => nft.getElement(TABLE, set, key)?.comment !== record.id);
}

function hostPorts(
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): HostPort[] {
  return toHostPorts(ports, addressesOf(record));
}

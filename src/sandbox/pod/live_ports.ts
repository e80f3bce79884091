/**
 * Host ports of a sandbox: claimed when it is made, opened and closed while it lives.
 *
 * @module
 */
import {
  type ConntrackFilter,
  flushConntrack,
} from "../../conntrack/conntrack.ts";
import { elementsOf, type PortOwner } from "../../hostport/elements.ts";
import { earlierFlows, endedFlows } from "../../hostport/flows.ts";
import {
  claimFurther,
  claimHostPorts,
  type ClaimOptions,
  releaseFurther,
  releaseHostPorts,
} from "../../hostport/host_ports.ts";
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
 * Claims all ports of a sandbox that is being made, and that it may reach itself by them. What was led elsewhere before is
 * left to {@linkcode forgetEarlier}.
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
  undo.push(() => {
    releaseHostPorts(sockets, owner, ports, { withHairpin });
    const flows = ended(context, owner, ports, withHairpin);
    flushConntrack(sockets.nft.netlink, flows);
  });
  claimHostPorts(sockets, owner, ports, asks(context, withHairpin));
}

/**
 * Leads flows to a sandbox's ports that began before it had them.
 *
 * @returns undefined when that is done; otherwise it is when the promise resolves
 */
export function forgetEarlier(
  context: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[] = record.ports,
): Promise<void> | undefined {
  if (!hasDatagrams(ports)) return undefined;
  return context.sockets.walks.forget(earlierThan(context, record, ports));
}

/** Whether there is one of UDP or SCTP. */
export function hasDatagrams(ports: readonly SinglePortMapping[]): boolean {
  for (const { protocol } of ports) {
    if (protocol !== "tcp") return true;
  }
  return false;
}

function earlierThan(
  context: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): readonly ConntrackFilter[] {
  return earlierFlows(
    portOwner(record),
    hostPorts(record, ports),
    () => nodeAddresses(context),
  );
}

/** The flows of ports that were closed, maybe with their sandbox. */
export function ended(
  { sockets: { nft, walks } }: NodeContext,
  owner: PortOwner,
  ports: readonly HostPort[],
  isGone: boolean,
): readonly ConntrackFilter[] {
  return endedFlows(
    nft,
    owner,
    ports,
    isGone,
    () => walks.mayHaveConnections(),
  );
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
 * @returns the record with them, which is written; a promise if there are flows to be led to them first
 * @throws {SandboxError} `HostPortInUse`, `HostAddressUnknown`, `StateUnusable`
 */
export function openPorts(
  context: NodeContext,
  record: SandboxRecord,
  ports: readonly SinglePortMapping[],
): SandboxRecord | Promise<SandboxRecord> {
  const { state, sockets: { nft } } = context;
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
    undo.push(() =>
      flushConntrack(nft.netlink, release(context, record, added))
    );
    const opened = [...added, ...shut];
    claim(context, record, opened);
    const waiting = forgetEarlier(context, record, opened);
    return whenDone(waiting, undo, () => changed);
  } catch (error) {
    throw undo.rollBack(error);
  }
}

/**
 * Closes those of the ports that the sandbox has; connections through them end.
 *
 * @returns the record without them, which is written; a promise if there are connections to be looked for
 * @throws {SandboxError} `StateUnusable`; the ports are open again then
 */
export function closePorts(
  context: NodeContext,
  record: SandboxRecord,
  unwanted: readonly SinglePortMapping[],
): SandboxRecord | Promise<SandboxRecord> {
  const isUnwanted = (port: SinglePortMapping) =>
    unwanted.some((other) => comparePortMappings(other, port) === 0);
  const removed = record.ports.filter(isUnwanted);
  if (removed.length === 0) return record;
  const changed = {
    ...record,
    ports: record.ports.filter((port) => !isUnwanted(port)),
  };
  const { nft, walks } = context.sockets;
  const undo = new UndoStack();
  undo.push(() => {
    claim(context, record, removed);
    flushConntrack(nft.netlink, earlierThan(context, record, removed));
  });
  // The note goes last, for what it does not name would be lost.
  const note = () => {
    context.state.writeSandbox(changed);
    return changed;
  };
  try {
    const flows = release(context, record, removed);
    return whenDone(walks.forget(flows), undo, note);
  } catch (error) {
    throw undo.rollBack(error);
  }
}

/** Does the last of it after what is to be waited for, if there is something. What fails then is undone. */
function whenDone(
  waiting: Promise<void> | undefined,
  undo: UndoStack,
  last: () => SandboxRecord,
): SandboxRecord | Promise<SandboxRecord> {
  if (waiting === undefined) return last();
  return waiting.then(last).catch((error) => {
    throw undo.rollBack(error);
  });
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

/** A sandbox that lives has got an interface: it may reach itself from there. */
export function claimFurtherAddresses(
  context: NodeContext,
  record: SandboxRecord,
): void {
  claimFurther(context.sockets, portOwner(record), asks(context, false));
}

/** It has one less than before. */
export function releaseFurtherAddresses(
  { sockets }: NodeContext,
  before: SandboxRecord,
  after: SandboxRecord,
): void {
  const owner = portOwner(before);
  const { further: kept = [] } = portOwner(after);
  const further = owner.further?.filter((address) =>
    !kept.some((other) => other.equals(address))
  );
  releaseFurther(sockets, { ...owner, further: further ?? [] });
}

/** Returns the flows that have to be forgotten now. */
function release(
  context: NodeContext,
  record: SandboxRecord,
  removed: readonly SinglePortMapping[],
): readonly ConntrackFilter[] {
  const ports = hostPorts(record, removed);
  const owner = portOwner(record);
  releaseHostPorts(context.sockets, owner, ports, { withHairpin: false });
  return ended(context, owner, ports, false);
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

/**
 * What every new sandbox has, however it is wired: a record and a pin.
 *
 * @module
 */
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { IpAddress } from "../../net/ip.ts";
import type { NormalisedSpec } from "../../spec/sandbox_spec.ts";
import type { NodeState } from "./node_state.ts";
import { addressTexts, type SandboxRecord } from "./records.ts";
import type { UndoStack } from "./undo.ts";

/** Keeps the namespace at the path that containers join. */
export function pinFor(
  state: NodeState,
  id: string,
  namespace: NetworkNamespace,
  undo: UndoStack,
): void {
  const path = state.pinPath(id);
  // Before it is there, for what pinning could not take back itself.
  undo.push(() => NetworkNamespace.unpin(path));
  namespace.pin(path);
}

/** The record of a sandbox that is being made. */
export function recordOf(
  id: string,
  spec: NormalisedSpec,
  namespace: NetworkNamespace,
  addresses: readonly IpAddress[],
): Omit<SandboxRecord, "mtu"> {
  const record: Omit<SandboxRecord, "mtu"> = {
    id,
    state: "creating",
    spec,
    netnsId: namespace.id,
    addresses: addressTexts(addresses),
    ports: spec.ports,
    interfaces: [],
    containers: spec.containers,
    createdAt: timestamp(),
  };
  const { bandwidth } = spec;
  return bandwidth === undefined ? record : { ...record, bandwidth };
}

let second = 0;
let beginning = "";
/** The last three digits: no two sandboxes of a row have the same, though they are made within a millisecond or the clock is set back. */
let serial = Math.trunc(1000 * Math.random());

/**
 * Now, as RFC 3339 has it, to the millisecond: by it a sandbox is told from one of the same name that was made after it was
 * removed. Within a second only the end is another one, and to make it all takes 6 µs a pod.
 */
function timestamp(): string {
  const now = Date.now();
  const milliseconds = now % 1000;
  if (now - milliseconds !== second) {
    second = now - milliseconds;
    beginning = new Date(second).toISOString().slice(0, -"000Z".length);
  }
  serial = (serial + 1) % 1000;
  return `${beginning}${digits(milliseconds)}${digits(serial)}Z`;
}

/** A number below 1000. To write one takes a microsecond, and to write all 0.4 ms, 1 % of a command. */
function digits(number: number): string {
  return DIGITS[number] ??= String(number).padStart(3, "0");
}

const DIGITS = new Array<string | undefined>(1000);

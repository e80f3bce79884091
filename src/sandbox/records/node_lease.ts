/**
 * Until when a node of a cluster may give addresses to pods: a note in the node's directory, so that it holds for every
 * process that makes sandboxes, also when the one that keeps the lease is dead.
 *
 * @module
 */
import * as v from "valibot";
import { uptimeMs } from "../../../ffi/process.ts";
import { SandboxError } from "../../errors.ts";
import type { RecordKind } from "../../state/record.ts";
import { readRecord, removeFile, writeRecord } from "../../state/store.ts";
import { bootId } from "./boot.ts";
import type { NodeState } from "./node_state.ts";

/** What the note says. */
export interface NodeLease {
  /** Name of the cluster. */
  readonly cluster: string;
  /** The store's name of the lease. */
  readonly id: string;
  /** When it ends, by {@linkcode uptimeMs}; null when it never does. */
  readonly endsAtMs: number | null;
  /** Of the machine's start that the time counts from. */
  readonly bootId: string;
  /** Why it has ended, when that is known. */
  readonly reason?: string;
}

const nodeLease: RecordKind<NodeLease> = {
  kind: "lease",
  version: 1,
  schema: v.object({
    cluster: v.string(),
    id: v.string(),
    endsAtMs: v.nullable(v.number()),
    bootId: v.string(),
    reason: v.exactOptional(v.string()),
  }),
};

const LEASE = "lease.cbor";

function pathOf({ directory }: Pick<NodeState, "directory">): string {
  return `${directory}/${LEASE}`;
}

/**
 * The note; undefined for a node of no cluster.
 *
 * @throws {SandboxError} `RecordInvalid`
 */
export function readNodeLease(
  state: Pick<NodeState, "directory">,
): NodeLease | undefined {
  return readRecord(nodeLease, pathOf(state));
}

/** Writes the note. Only whoever keeps the node in its cluster does. */
export function writeNodeLease(
  state: Pick<NodeState, "directory">,
  lease: NodeLease,
): void {
  writeRecord(nodeLease, pathOf(state), lease);
}

/** Removes the note: the node is of no cluster any more. */
export function removeNodeLease(state: Pick<NodeState, "directory">): void {
  removeFile(pathOf(state));
}

/** How long the lease is good for yet, in milliseconds; not positive when it has ended. */
export function remainingMs(lease: NodeLease): number {
  if (lease.bootId !== bootId()) return 0;
  return lease.endsAtMs === null ? Infinity : lease.endsAtMs - uptimeMs();
}

/** Asks, before a pod gets an address: 2 µs for a node of no cluster. */
export class LeaseGate {
  #version: string | undefined;
  #lease: NodeLease | undefined;

  /**
   * Does nothing while the lease lasts, and for a node of no cluster.
   *
   * @throws {SandboxError} `LeaseEnded`, `RecordInvalid`
   */
  pass(state: Pick<NodeState, "directory" | "name" | "versionOf">): void {
    const version = state.versionOf(LEASE);
    if (version !== this.#version) {
      this.#lease = version === undefined ? undefined : readNodeLease(state);
      this.#version = version;
    }
    if (this.#lease === undefined || remainingMs(this.#lease) > 0) return;
    const { cluster, reason } = this.#lease;
    throw new SandboxError("LeaseEnded", {
      name: state.name,
      cluster,
      reason: reason ??
        "nobody has renewed it: see that podnet node up runs, and that it reaches the cluster's store (podnet node status)",
    });
  }
}

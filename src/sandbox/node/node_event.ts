/**
 * What a watch of a node tells.
 *
 * @module
 */
import type { Finding } from "./finding.ts";

/** Something that happened to a sandbox's link. */
export interface SandboxEvent {
  /**
   * `created` and `removed`: the link came or went. `up` and `down`: it began or ceased to carry packets.
   */
  readonly type: "created" | "removed" | "up" | "down";
  /** RFC 3339. */
  readonly time: string;
  /** Id of the sandbox. */
  readonly id: string;
  /** The node's end of its link. */
  readonly hostInterface: string;
}

/** More happened than could be kept: list the sandboxes anew. */
export interface OverflowEvent {
  /** Always `overflow`. */
  readonly type: "overflow";
  /** RFC 3339. */
  readonly time: string;
}

/** A watch that repairs has looked at everything once: from now on it notices what happens. */
export interface ReadyEvent {
  /** Always `ready`. */
  readonly type: "ready";
  /** RFC 3339. */
  readonly time: string;
}

/** What a watch that repairs did, or could not do. */
export interface RepairEvent {
  /**
   * `repaired`: it is as it should be again. `unrepaired`: only people can mend it, or its `failure` tells why it failed;
   * told once for as long as it is so.
   */
  readonly type: "repaired" | "unrepaired";
  /** RFC 3339. */
  readonly time: string;
  /** What was found. */
  readonly finding: Finding;
}

/** Somebody keeps undoing what a watch repairs: it waits before it does so again, each time twice as long, up to a minute. */
export interface ContestedEvent {
  /** Always `contested`. */
  readonly type: "contested";
  /** RFC 3339. */
  readonly time: string;
  /** What was found once more. */
  readonly finding: Finding;
  /** How often it was repaired by now. */
  readonly repairs: number;
  /** How long it is left alone, in milliseconds. */
  readonly retryInMs: number;
}

/** What {@linkcode NodeWatch} yields. */
export type NodeEvent =
  | SandboxEvent
  | OverflowEvent
  | ReadyEvent
  | RepairEvent
  | ContestedEvent;

/**
 * Events of a node from the moment it was made. Leaving a `for await` over it, or disposing it, ends it. When the node is
 * closed before, it ends by itself: whoever waits for an event, or asks for one afterwards, gets `NodeClosed` once.
 */
export interface NodeWatch
  extends AsyncIterableIterator<NodeEvent>, AsyncDisposable {}

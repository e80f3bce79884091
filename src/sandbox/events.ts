/**
 * What happens to the sandboxes of a node, whichever process does it: the kernel tells of their links.
 *
 * @module
 */
import type { Subscription } from "../netlink/subscription.ts";
import { type Change, monitor } from "../rtnetlink/monitor.ts";
import { dumpLinks } from "../rtnetlink/link.ts";
import type { NodeContext } from "./context.ts";
import type { Finding } from "./finding.ts";
import { idOfAlias } from "./identity.ts";
import { RepairingWatch } from "./repairing_watch.ts";

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

/** How to watch. */
export interface WatchOptions {
  /**
   * Also repair what is undone, by itself and within a second, from the moment the watch is made until it is disposed. It
   * goes on whether or not events are read, and keeps the process alive.
   * @default false
   */
  readonly repair?: boolean;
  /**
   * How often a watch that repairs looks at everything although the kernel told of nothing, in milliseconds: it does not tell
   * of most sysctls, nor of files and pins. 0 for never.
   * @default 30_000
   */
  readonly pollMs?: number;
}

/** Events of a node from the moment it was made. Leaving a `for await` over it, or disposing it, ends it. */
export interface NodeWatch
  extends AsyncIterableIterator<NodeEvent>, AsyncDisposable {}

const POLL_MS = 30_000;

/** Watches a node. */
export function watchNode(
  context: NodeContext,
  { repair = false, pollMs = POLL_MS }: WatchOptions = {},
): NodeWatch {
  if (!Number.isFinite(pollMs) || pollMs < 0) {
    throw new RangeError(
      `pollMs is ${pollMs}: write milliseconds, or 0 for never`,
    );
  }
  // In this order, so that nothing comes between the two unnoticed.
  const changes = context.namespace.run(() => monitor(["link"]));
  const carrying = linksCarrying(context);
  const links = Object.assign(eventsOf(changes, context, carrying), {
    [Symbol.asyncDispose]: () => changes[Symbol.asyncDispose](),
  });
  if (!repair) return links;
  try {
    return new RepairingWatch(context, links, pollMs);
  } catch (error) {
    void changes.close();
    throw error;
  }
}

/** Whether each of the node's pod links carries packets, by index. */
type Carrying = Map<number, boolean>;

function linksCarrying({ sockets, settings }: NodeContext): Carrying {
  return new Map(
    sockets.route.dump(dumpLinks())
      .filter(({ alias }) => idOfAlias(settings.name, alias) !== undefined)
      .map(({ index, up, carrier }) => [index, up && carrier]),
  );
}

async function* eventsOf(
  changes: Subscription<Change>,
  context: NodeContext,
  carrying: Carrying,
): AsyncGenerator<NodeEvent, undefined> {
  for await (const change of changes) {
    const time = new Date().toISOString();
    if (change.overflow) {
      carrying = linksCarrying(context);
      yield { type: "overflow", time };
      continue;
    }
    if (!("link" in change.value)) continue;
    const { action, link: { index, name, alias, up, carrier } } = change.value;
    const id = idOfAlias(context.settings.name, alias);
    if (id === undefined) continue;
    const event = { time, id, hostInterface: name };
    const before = carrying.get(index);
    if (action === "delete") {
      carrying.delete(index);
      yield { ...event, type: "removed" };
      continue;
    }
    const now = up && carrier;
    carrying.set(index, now);
    if (before === undefined) yield { ...event, type: "created" };
    if ((before ?? false) !== now) {
      yield { ...event, type: now ? "up" : "down" };
    }
  }
}

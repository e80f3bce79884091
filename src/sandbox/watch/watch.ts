/**
 * Watching a node, and repairing it.
 *
 * @module
 */
import type { NodeContext } from "../node/context.ts";
import { watchLinks } from "../node/events.ts";
import type { NodeWatch } from "../node/node_event.ts";
import { RepairingWatch } from "./repairing_watch.ts";

/** How to watch. */
export interface WatchOptions {
  /**
   * Also repair what is undone, by itself and within a second, from the moment the watch is made until it is disposed. It
   * goes on whether or not events are read, and keeps the process alive. It ends at once when the node is closed, and also
   * when it is taken down or set up in another way; when a look fails for another reason, that is told once as `unrepaired`,
   * and it looks again after 1 s, then after twice as long each time, up to a minute.
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

const POLL_MS = 30_000;

/**
 * Watches a node.
 *
 * @throws {RangeError} when `pollMs` is no time
 */
export function watchNode(
  context: NodeContext,
  { repair = false, pollMs = POLL_MS }: WatchOptions = {},
): NodeWatch {
  if (!Number.isFinite(pollMs) || pollMs < 0) {
    throw new RangeError(
      `pollMs is ${pollMs}: write milliseconds, or 0 for never`,
    );
  }
  const links = watchLinks(context);
  return repair ? new RepairingWatch(context, links, pollMs) : links;
}

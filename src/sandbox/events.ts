/**
 * What happens to the sandboxes of a node, whichever process does it: the kernel tells of their links.
 *
 * @module
 */
import type { Subscription } from "../netlink/subscription.ts";
import { type Change, monitor } from "../rtnetlink/monitor.ts";
import type { NodeContext } from "./context.ts";
import { idOfAlias } from "./identity.ts";

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

/** What {@linkcode NodeWatch} yields. */
export type NodeEvent = SandboxEvent | OverflowEvent;

/** Events of a node from the moment it was made. Leaving a `for await` over it, or disposing it, ends it. */
export interface NodeWatch
  extends AsyncIterableIterator<NodeEvent>, AsyncDisposable {}

/** Watches a node. */
export function watchNode({ namespace, settings }: NodeContext): NodeWatch {
  const changes = namespace.run(() => monitor(["link"]));
  return Object.assign(eventsOf(changes, settings.name), {
    [Symbol.asyncDispose]: () => changes[Symbol.asyncDispose](),
  });
}

async function* eventsOf(
  changes: Subscription<Change>,
  node: string,
): AsyncGenerator<NodeEvent, undefined> {
  /** Whether each link carried packets when it was last heard of. */
  const carrying = new Map<number, boolean>();
  for await (const change of changes) {
    const time = new Date().toISOString();
    if (change.overflow) {
      carrying.clear();
      yield { type: "overflow", time };
      continue;
    }
    if (!("link" in change.value)) continue;
    const { action, link: { index, name, alias, up, carrier } } = change.value;
    const id = idOfAlias(node, alias);
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

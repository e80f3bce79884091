/**
 * What happens to the sandboxes of a node, whichever process does it: the kernel tells of their links.
 *
 * @module
 */
import type { Notification, Overflow } from "../netlink/subscription.ts";
import { Subscription } from "../netlink/subscription.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import {
  RTM_DELLINK,
  RTM_NEWLINK,
  RTNLGRP_LINK,
} from "../rtnetlink/constants.ts";
import { type Link, link } from "../rtnetlink/link.ts";
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
export function watchNode(context: NodeContext): NodeWatch {
  const subscription = context.namespace.run(() =>
    Subscription.open({
      protocol: NETLINK_ROUTE,
      groups: [RTNLGRP_LINK],
      codecs: new Map([[RTM_NEWLINK, link], [RTM_DELLINK, link]]),
    })
  );
  const events = eventsOf(subscription, context.settings.name);
  return Object.assign(events, {
    async [Symbol.asyncDispose](): Promise<void> {
      await subscription[Symbol.asyncDispose]();
    },
  });
}

async function* eventsOf(
  subscription: AsyncIterable<Notification<Link> | Overflow>,
  node: string,
): AsyncGenerator<NodeEvent, undefined> {
  /** Whether each link carried packets when it was last heard of. */
  const carrying = new Map<number, boolean>();
  for await (const notification of subscription) {
    const time = new Date().toISOString();
    if (notification.overflow) {
      carrying.clear();
      yield { type: "overflow", time };
      continue;
    }
    const { value: { index, name, alias, up, carrier }, type } = notification;
    const id = idOfAlias(node, alias);
    if (id === undefined) continue;
    const event = { time, id, hostInterface: name };
    if (type === RTM_DELLINK) {
      carrying.delete(index);
      yield { ...event, type: "removed" };
      continue;
    }
    const before = carrying.get(index);
    const now = up && carrier;
    carrying.set(index, now);
    if (before === undefined) yield { ...event, type: "created" };
    if ((before ?? false) !== now) {
      yield { ...event, type: now ? "up" : "down" };
    }
  }
}

/**
 * What happens to the sandboxes of a node, whichever process does it: the kernel tells of their links.
 *
 * @module
 */
import type { Subscription } from "../../netlink/subscription.ts";
import { type Change, monitor } from "../../rtnetlink/monitor.ts";
import { dumpLinks } from "../../rtnetlink/link.ts";
import type { NodeContext } from "./context.ts";
import { idOfAlias } from "../records/identity.ts";
import type { NodeEvent, NodeWatch } from "./node_event.ts";

/** Tells of sandboxes' links from now on, until the node is closed. */
export function watchLinks(context: NodeContext): NodeWatch {
  const signal = context.state.closed;
  // In this order, so that nothing comes between the two unnoticed.
  const changes = context.namespace.run(() => monitor(["link"], { signal }));
  const carrying = linksCarrying(context);
  const end = () => changes[Symbol.asyncDispose]();
  return Object.assign(eventsOf(changes, context, carrying), {
    // A generator's own would wait for the event that was asked for before.
    return: async () => {
      await end();
      return { done: true, value: undefined } as const;
    },
    [Symbol.asyncDispose]: end,
  });
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
      context.state.refuseClosed();
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

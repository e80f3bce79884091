/**
 * Connections of addresses that no sandbox has.
 *
 * @module
 */
import {
  type ConntrackEntry,
  deleteConntrack,
  listConntrack,
  type TrackedConnection,
} from "../../conntrack/conntrack.ts";
import type { IpAddress } from "../../net/ip.ts";
import { RT_TABLE_MAIN } from "../../rtnetlink/constants.ts";
import { dumpRoutes, ROUTE_PROTOCOL } from "../../rtnetlink/route.ts";
import type { NodeContext } from "../node/context.ts";
import { Pacer } from "../node/pacer.ts";
import { podLinks } from "../node/pod_links.ts";

/** Connections to forget, by address. */
export type StrayFlows = ReadonlyMap<string, readonly TrackedConnection[]>;

/**
 * Connections of dead pods that would stay. Most end by themselves within minutes once no packet comes; an established TCP
 * connection stays for five days, and a flow of datagrams that is translated to a dead pod stays for as long as its client
 * goes on, whoever has the host port by now.
 *
 * @param dead ids of sandboxes that do not count as living
 */
export function strayFlows(
  context: NodeContext,
  dead: ReadonlySet<string>,
): StrayFlows {
  const { sockets, pools } = context;
  const found = pools.flatMap(({ cidr: { family } }) =>
    listConntrack(sockets.nft.netlink, { family })
  ).filter(stays);
  // Asked afterwards: a pod that was made meanwhile has its address, and entries of before are not its own.
  const living = livingAddresses(context, dead);
  const flows = new Map<string, TrackedConnection[]>();
  for (const entry of found) {
    for (const address of [entry.original.source, entry.reply.source]) {
      const pool = pools.find(({ cidr }) => cidr.contains(address));
      if (pool === undefined || pool.gateway.equals(address)) continue;
      const name = String(address);
      if (living.has(name)) continue;
      // Outsiders decide how many there are: tens of thousands of one address.
      const known = flows.get(name);
      if (known === undefined) flows.set(name, [entry]);
      else known.push(entry);
    }
  }
  return flows;
}

/** Forgets them; those that have ended by now are fine. */
export async function deleteFlowsOf(
  { sockets }: NodeContext,
  flows: StrayFlows,
): Promise<void> {
  const pacer = new Pacer();
  for (const entry of new Set([...flows.values()].flat())) {
    await pacer.pause();
    deleteConntrack(sockets.nft.netlink, entry);
  }
}

const IPPROTO_TCP = 6;
/** IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h). */
const DESTINATION_TRANSLATED = 32;
/** Longer than the kernel keeps anything but an established connection. */
const SECONDS = 600;

function stays({ protocol, status, timeout = 0 }: ConntrackEntry): boolean {
  const isLed = (status & DESTINATION_TRANSLATED) !== 0;
  return timeout > SECONDS || isLed && protocol !== IPPROTO_TCP;
}

/** By the records, and by the routes of sandboxes that are being made: the claim comes before the record has it. */
function livingAddresses(
  context: NodeContext,
  dead: ReadonlySet<string>,
): ReadonlySet<string> {
  const { sockets: { route }, state } = context;
  const claims = route.dump(
    dumpRoutes({ protocol: ROUTE_PROTOCOL, table: RT_TABLE_MAIN }),
  );
  const links = new Map(podLinks(context).map((link) => [link.index, link]));
  const ids = state.sandboxIds().filter((id) => !dead.has(id));
  const known = new Set(ids);
  const claimed = claims.flatMap(({ index, destination }): IpAddress[] => {
    const link = links.get(index ?? 0);
    return link === undefined || !known.has(link.id) ||
        destination === "default"
      ? []
      : [destination.network];
  });
  return new Set([
    ...claimed.map(String),
    ...ids.flatMap((id) => state.readableSandbox(id)?.addresses ?? []),
  ]);
}

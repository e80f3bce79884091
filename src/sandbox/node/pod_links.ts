/**
 * The node's ends of pods' links, as the kernel tells of them: found by their alias, deleted all at once.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { PORT_PREFIX, SHAPER_PREFIX } from "../../attachment/names.ts";
import type { Connection } from "../../netlink/connection.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { RT_TABLE_MAIN, RTNLGRP_LINK } from "../../rtnetlink/constants.ts";
import {
  deleteLinks,
  dumpLinkNames,
  getLink,
  setLink,
} from "../../rtnetlink/link.ts";
import { dumpRoutes, ROUTE_PROTOCOL } from "../../rtnetlink/route.ts";
import type { NodeContext } from "./context.ts";
import {
  HOST_INTERFACE_PREFIX,
  idOfAlias,
  idOfFurtherAlias,
} from "../records/identity.ts";

/** The kernel takes 30 ms to destroy one namespace and 300 ms for a thousand, more on a busy machine. */
const PATIENCE_MS = 400;

/** A link of a sandbox of this node. */
export interface PodLinkInfo {
  readonly index: number;
  readonly name: string;
  /** Id of the sandbox. */
  readonly id: string;
  /**
   * Whether it claims no address. Mostly its sandbox was removed, and the link only has to go yet; it may also be one that
   * is being made, or whose routes somebody has deleted, which its sandbox's record tells apart. A mark on the link itself would
   * cost a walk through all IPv6 routes of the node (NETDEV_CHANGE), 0.1 ms at 500 pods.
   */
  readonly retired: boolean;
}

/** All of them, by reading every link and claim of the node. Links of the same names without an alias of this node are others'. */
export function podLinks(
  { sockets, settings }: Pick<NodeContext, "sockets" | "settings">,
): PodLinkInfo[] {
  const claims = new Set(
    sockets.route.dump(
      dumpRoutes({ protocol: ROUTE_PROTOCOL, table: RT_TABLE_MAIN }),
    ).map(({ index }) => index),
  );
  return sockets.route.dump(dumpLinkNames()).flatMap(
    ({ index, name, alias }) => {
      const id = idOfAlias(settings.name, alias);
      return id === undefined || !name.startsWith(HOST_INTERFACE_PREFIX)
        ? []
        : [{ index, name, id, retired: !claims.has(index) }];
    },
  );
}

/** The shapers and ports of sandboxes of this node, by reading every link. */
export function furtherLinks(
  { sockets, settings }: Pick<NodeContext, "sockets" | "settings">,
): Omit<PodLinkInfo, "retired">[] {
  return sockets.route.dump(dumpLinkNames()).flatMap(
    ({ index, name, alias }) => {
      const id = idOfFurtherAlias(settings.name, alias);
      const isNamed = name.startsWith(SHAPER_PREFIX) ||
        name.startsWith(PORT_PREFIX);
      return id === undefined || !isNamed ? [] : [{ index, name, id }];
    },
  );
}

/** The sandboxes of this node that links, shapers and ports say that they are of, by reading every link. */
export function idsOfLinks(
  { sockets, settings: { name } }: Pick<NodeContext, "sockets" | "settings">,
): string[] {
  return sockets.route.dump(dumpLinkNames()).flatMap(({ alias }) =>
    idOfAlias(name, alias) ?? idOfFurtherAlias(name, alias) ?? []
  );
}

/** Whether the link, shaper or port is there, and still that sandbox's. */
export function isPodLink(
  { sockets, settings }: Pick<NodeContext, "sockets" | "settings">,
  { index, id }: Pick<PodLinkInfo, "index" | "id">,
): boolean {
  try {
    const [found] = sockets.route.request(getLink({ index }));
    return idOfAlias(settings.name, found?.alias) === id ||
      idOfFurtherAlias(settings.name, found?.alias) === id;
  } catch (error) {
    if (isNetlinkError(error, Errno.ENODEV)) return false;
    throw error;
  }
}

/**
 * Deletes links; those that are gone are fine. The kernel waits 31–44 ms for each deletion that it is asked for, so
 * several are asked for together, as a group (net/core/rtnetlink.c, rtnl_group_dellink): 0.4 ms a link.
 */
export function deletePodLinks(
  route: Connection,
  links: readonly Pick<PodLinkInfo, "index">[],
): void {
  // A group that nobody has: 31 random bits, above what people choose.
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  const group = 0x4000_0000 + random % 0x4000_0000;
  const grouped = links.filter(({ index }) =>
    unlessGone(() => route.execute([setLink({ index, group })]))
  );
  if (grouped.length > 0) unlessGone(() => route.execute([deleteLinks(group)]));
}

/**
 * Waits for links of removed sandboxes to go with their namespaces, which costs nobody anything.
 *
 * @returns those that stay, because a process is in the namespace, or somebody else's pin holds it
 */
export async function awaitGone(
  find: () => readonly PodLinkInfo[],
): Promise<readonly PodLinkInfo[]> {
  let left = find();
  for (let since = performance.now(); left.length > 0;) {
    if (performance.now() - since > PATIENCE_MS) return left;
    await new Promise((wake) => setTimeout(wake, 10));
    const there = new Set(find().map(({ index }) => index));
    // One that is new is being made, and only claims nothing yet.
    const now = left.filter(({ index }) => there.has(index));
    if (now.length < left.length) since = performance.now();
    left = now;
  }
  return left;
}

/**
 * Ends what removals left to be done, and blocks the thread until these links are gone, for programs that end then: a timer
 * and an asynchronous wait are parts of the runtime that take 6 ms to be loaded.
 */
export function blockUntilGone(
  { sockets: { route }, late }: Pick<NodeContext, "sockets" | "late">,
  names: Iterable<string>,
  timeoutMs: number,
): void {
  late?.finish();
  const left = new Set(names);
  const areGone = () => {
    for (const name of left) {
      if (unlessGone(() => route.request(getLink({ name })))) return false;
      left.delete(name);
    }
    return true;
  };
  route.waitUntil(areGone, RTNLGRP_LINK, timeoutMs);
}

function unlessGone(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (isNetlinkError(error, Errno.ENODEV)) return false;
    throw error;
  }
}

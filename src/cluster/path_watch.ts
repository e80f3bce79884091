/**
 * Tells when somebody has touched what paths are made of, as the kernel tells it.
 *
 * @module
 */
import { pollAsync } from "../../ffi/poll.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Feed, type Glance } from "../netlink/feed.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import {
  RT_SCOPE_UNIVERSE,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_IPV6_RULE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
} from "../rtnetlink/constants.ts";
import { LOOPBACK_INDEX } from "../rtnetlink/link.ts";
import { indexOf } from "../sandbox/watch/glances.ts";
import { PATH_PROTOCOL } from "../sandbox/node/path_parts.ts";

/** What comes within this time is told once: a flush is many messages. */
const GATHER_MS = 20;
/** All routes of 5,000 nodes at once. */
const RECEIVE_BUFFER_BYTES = 8 << 20;

/** Links that paths lead over. */
export interface WatchedLinks {
  /** Numbers of tunnels. */
  readonly tunnels: ReadonlySet<number>;
  /** Numbers of links to other nodes. */
  readonly underlay: ReadonlySet<number>;
}

/** Listens from the moment it is made, and keeps the process alive until it is disposed or its node is closed. */
export class PathWatch implements AsyncDisposable {
  readonly #feed: Feed;
  readonly #ending = new AbortController();
  readonly #ended: AbortSignal;
  readonly #done: Promise<void>;
  /** Numbers of links to other nodes, also of those that are down: nothing leads over them until they are up again. */
  readonly #underlay = new Set<number>();

  /**
   * @param closed is aborted when the node is closed
   * @param links which there are at this moment
   * @param settled resolves when nothing is being done that this would tell of
   * @param tell is called when somebody has touched something
   */
  constructor(
    namespace: NetworkNamespace,
    closed: AbortSignal,
    links: () => WatchedLinks,
    settled: () => Promise<unknown>,
    tell: () => void,
  ) {
    this.#ended = AbortSignal.any([this.#ending.signal, closed]);
    using owned = new DisposableStack();
    this.#feed = owned.use(namespace.run(() =>
      Feed.open({
        protocol: NETLINK_ROUTE,
        groups: [
          RTNLGRP_LINK,
          RTNLGRP_NEIGH,
          RTNLGRP_IPV4_IFADDR,
          RTNLGRP_IPV4_ROUTE,
          RTNLGRP_IPV4_RULE,
          RTNLGRP_IPV6_IFADDR,
          RTNLGRP_IPV6_ROUTE,
          RTNLGRP_IPV6_RULE,
        ],
        receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      })
    ));
    this.#learn(links());
    const kept = owned.move();
    this.#done = this.#run(links, settled, tell).finally(() => kept.dispose());
    this.#done.catch(() => {});
  }

  /** What has come so far was by those who know of it. */
  discard(): void {
    if (!this.#ended.aborted) this.#feed.drain(() => {});
  }

  /** Ceases to listen. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#done;
  }

  async #run(
    links: () => WatchedLinks,
    settled: () => Promise<unknown>,
    tell: () => void,
  ): Promise<void> {
    const signal = this.#ended;
    while (!signal.aborted) {
      await pollAsync([this.#feed.fd], -1, signal);
      await pollAsync([], GATHER_MS, signal);
      await settled();
      if (signal.aborted) return;
      const known = links();
      this.#learn(known);
      let isTouched = false;
      const isWhole = this.#feed.drain((glance) => {
        if (this.#touchesPaths(glance, known)) isTouched = true;
      });
      if (isTouched || !isWhole) tell();
    }
  }

  #learn({ underlay }: WatchedLinks): void {
    for (const index of underlay) this.#underlay.add(index);
  }

  /** By the fixed headers alone. */
  #touchesPaths(glance: Glance, { tunnels }: WatchedLinks): boolean {
    const { type, from, body } = glance;
    const index = indexOf(glance);
    switch (type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        return tunnels.has(index) || this.#underlay.has(index);
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH:
        return tunnels.has(index);
      case RTM_NEWADDR:
        // struct ifaddrmsg: family, prefixlen, flags, scope. Of the node, for other nodes to reach it by.
        if (
          index === LOOPBACK_INDEX ||
          from.bytes[body + 3] !== RT_SCOPE_UNIVERSE
        ) return false;
        this.#underlay.add(index);
        return true;
      case RTM_DELADDR:
        // Routes go with the address that is their source, and are not told of.
        return index === LOOPBACK_INDEX || tunnels.has(index) ||
          this.#underlay.has(index);
      case RTM_NEWROUTE:
      case RTM_DELROUTE:
        // struct rtmsg: family, dst_len, src_len, tos, table, protocol
        return from.bytes[body + 5] === PATH_PROTOCOL;
      case RTM_DELRULE:
        return true;
      default:
        return false;
    }
  }
}

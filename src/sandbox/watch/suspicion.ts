/**
 * What the kernel's notices give reason to look at again. Messages are glanced at and not decoded: while pods are made by
 * the thousand, next to nothing must be done for each.
 *
 * What podnet itself does is mostly told from damage by its kind: it adds routes, addresses, neighbours and elements with its
 * marks, and takes them away together with the sandbox. What cannot be told apart is looked at once, and found to be right.
 *
 * @module
 */
import { AF_BRIDGE } from "../../../ffi/socket.ts";
import { isOwnBridge } from "../../attachment/bridge.ts";
import { isPeerSet } from "../../hostport/peers.ts";
import { TABLE } from "../../hostport/sets.ts";
import { Feed, type Glance } from "../../netlink/feed.ts";
import { NETLINK_NETFILTER, NETLINK_ROUTE } from "../../netlink/message.ts";
import { NftMessage } from "../../nftables/tables.ts";
import { elementsOf, tableNameOf } from "../../nftables/glance.ts";
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELQDISC,
  RTM_DELROUTE,
  RTM_DELTFILTER,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWNETCONF,
  RTM_NEWQDISC,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_NETCONF,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_NETCONF,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_IPV6_RULE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
  RTNLGRP_TC,
} from "../../rtnetlink/constants.ts";
import {
  dumpLinks,
  type Link,
  link as linkCodec,
  LOOPBACK_INDEX,
} from "../../rtnetlink/link.ts";
import { qdiscMessage } from "../../rtnetlink/qdisc.ts";
import { route as routeCodec } from "../../rtnetlink/route.ts";
import type { NodeContext } from "../node/context.ts";
import {
  indexOf,
  isClaimOnBridge,
  isGateway,
  isOfOwnTable,
  isOwnRoute,
  isWorking,
  matters,
  netconfIndexOf,
  stateOf,
  stateOfBridge,
} from "./glances.ts";
import { idOfAlias, idOfFurtherAlias, isId } from "../records/identity.ts";

// linux/netfilter/nfnetlink.h
const NFNLGRP_NFTABLES = 7;

/** A storm of a thousand pods a second for a tenth of a second. */
const RECEIVE_BUFFER_BYTES = 16 << 20;

/** What to look at again. */
export interface Suspects {
  /** Everything: messages were lost. */
  readonly all: boolean;
  /** The node itself, and what of its table belongs to nobody. */
  readonly node: boolean;
  /** The node itself, and the rules of its table. */
  readonly rules: boolean;
  /** Ids of sandboxes. */
  readonly ids: ReadonlySet<string>;
}

/** A sandbox's link when it was last seen. */
interface Seen {
  readonly id: string;
  /** What of it must not change, as text. */
  readonly state: string;
  /** Number of the pod's namespace, as the node's numbers it. */
  readonly namespaceId: number | undefined;
  /** What was last told of a queueing discipline of it, as text. */
  qdisc?: string;
}

/** A pod's namespace. */
interface SeenPod {
  /** Several sandboxes may have interfaces in it, and a sandbox several: how many, by id. */
  readonly ids: Map<string, number>;
  /** What of its links must not change, by index, as far as it was told. */
  readonly links: Map<number, string>;
  /** It came while the watch listened: what is told of a link first is how it was made. */
  readonly isNew: boolean;
}

/** Listens, and gathers suspects. */
export class Suspicion implements Disposable {
  readonly #context: NodeContext;
  readonly route: Feed;
  readonly nft: Feed;
  readonly #owned: DisposableStack;
  readonly #links = new Map<number, Seen>();
  readonly #pods = new Map<number, SeenPod>();
  /** States of podnet's bridges, by index. */
  readonly #bridges = new Map<number, string>();
  /** Names of other bridges, by index. */
  readonly #usersBridges = new Map<number, string>();
  #all = false;
  #node = false;
  #rules = false;
  #ids = new Set<string>();

  /** Listens from now on. */
  constructor(context: NodeContext) {
    using owned = new DisposableStack();
    this.#context = context;
    [this.route, this.nft] = context.namespace.run(() =>
      [
        owned.use(Feed.open({
          protocol: NETLINK_ROUTE,
          groups: [
            RTNLGRP_LINK,
            RTNLGRP_NEIGH,
            RTNLGRP_TC,
            RTNLGRP_IPV4_IFADDR,
            RTNLGRP_IPV4_ROUTE,
            RTNLGRP_IPV4_RULE,
            RTNLGRP_IPV6_IFADDR,
            RTNLGRP_IPV6_ROUTE,
            RTNLGRP_IPV6_RULE,
            RTNLGRP_IPV4_NETCONF,
            RTNLGRP_IPV6_NETCONF,
          ],
          peerNamespaces: true,
          receiveBufferBytes: RECEIVE_BUFFER_BYTES,
        })),
        owned.use(Feed.open({
          protocol: NETLINK_NETFILTER,
          groups: [NFNLGRP_NFTABLES],
          receiveBufferBytes: RECEIVE_BUFFER_BYTES,
        })),
      ] as const
    );
    this.#readLinks();
    this.#owned = owned.move();
  }

  /** Reads what has come; waits for nothing. */
  drain(): void {
    const isWhole = this.route.drain((glance) => this.#ofRoute(glance));
    if (!this.nft.drain((glance) => this.#ofTable(glance)) || !isWhole) {
      this.#all = true;
    }
  }

  /** Whether nothing has gathered since. */
  get isEmpty(): boolean {
    return !this.#all && !this.#node && !this.#rules && this.#ids.size === 0;
  }

  /** What has gathered since it was last taken. */
  take(): Suspects {
    const taken = {
      all: this.#all,
      node: this.#node,
      rules: this.#rules,
      ids: this.#ids,
    };
    if (this.#all) this.#readLinks();
    this.#all = this.#node = this.#rules = false;
    this.#ids = new Set();
    return taken;
  }

  /** Ceases to listen. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #readLinks(): void {
    this.#links.clear();
    this.#pods.clear();
    this.#bridges.clear();
    this.#usersBridges.clear();
    for (const link of this.#context.sockets.route.dump(dumpLinks())) {
      this.#learn(link, { isNew: false });
    }
  }

  /** Remembers a sandbox's link once it works: what was sent while it was made is not damage. */
  #learn(link: Link, { isNew }: Pick<SeenPod, "isNew">): void {
    const { name } = this.#context.settings;
    if (isOwnBridge(link)) this.#bridges.set(link.index, stateOfBridge(link));
    else if (link.kind === "bridge") {
      this.#usersBridges.set(link.index, link.name);
    }
    const id = idOfAlias(name, link.alias) ??
      idOfFurtherAlias(name, link.alias);
    if (id === undefined) return;
    if (!link.up || !link.carrier) return;
    const namespaceId = link.raw.attrs.linkNetnsid;
    this.#links.set(link.index, { id, namespaceId, state: stateOf(link) });
    if (namespaceId !== undefined) {
      const pod = this.#pods.get(namespaceId) ??
        { ids: new Map(), links: new Map(), isNew };
      pod.ids.set(id, (pod.ids.get(id) ?? 0) + 1);
      this.#pods.set(namespaceId, pod);
    }
  }

  #ofRoute(glance: Glance): void {
    const { type, from, body, end, namespaceId } = glance;
    if (namespaceId !== undefined) {
      const pod = this.#pods.get(namespaceId);
      if (pod !== undefined) this.#ofPod(pod, glance);
      return;
    }
    // What a bridge tells of its ports and its forwarding table: the first byte of each body is the family.
    if (from.bytes[body] === AF_BRIDGE) {
      // What was learnt comes and goes.
      if (
        type !== RTM_NEWNEIGH && (type !== RTM_DELNEIGH || !matters(glance))
      ) {
        this.#ofPort(indexOf(glance));
      }
      return;
    }
    switch (type) {
      case RTM_NEWLINK:
        return this.#ofLink(glance);
      case RTM_DELLINK: {
        // Its ports tell of it.
        this.#bridges.delete(indexOf(glance));
        this.#usersBridges.delete(indexOf(glance));
        const seen = this.#forget(indexOf(glance));
        if (seen !== undefined) this.#ids.add(seen.id);
        return;
      }
      case RTM_DELADDR:
        // With a gateway address go all routes that have it as their source (fib_sync_down_addr): of all pods.
        if (
          indexOf(glance) === LOOPBACK_INDEX ||
          this.#bridges.has(indexOf(glance))
        ) this.#all = true;
        return;
      case RTM_NEWQDISC:
        return this.#ofQdisc(glance);
      case RTM_DELQDISC:
      case RTM_DELTFILTER: {
        const seen = this.#links.get(indexOf(glance));
        if (seen !== undefined) this.#ids.add(seen.id);
        return;
      }
      case RTM_NEWNETCONF:
        return this.#ofIndex(netconfIndexOf(glance));
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH:
        if (matters(glance)) this.#ofIndex(indexOf(glance));
        return;
      case RTM_NEWROUTE:
      case RTM_DELROUTE: {
        if (!matters(glance)) {
          if (type === RTM_DELROUTE && isClaimOnBridge(glance)) {
            const { index } = routeCodec.read(from, body, end);
            this.#ofPort(index);
          }
          return;
        }
        // Made by podnet, which would not have got it if it were taken.
        if (type === RTM_NEWROUTE && isOwnRoute(glance)) return;
        const { destination, index } = routeCodec.read(
          from,
          body,
          end,
        );
        if (destination === "default") {
          // By a router's advertisement, on a link that must go on believing them.
          if (type === RTM_DELROUTE) this.#node = true;
          return;
        }
        const { pools } = this.#context;
        if (!pools.some(({ cidr }) => cidr.overlaps(destination))) return;
        const seen = index === undefined ? undefined : this.#links.get(index);
        if (seen !== undefined) this.#ids.add(seen.id);
        // Some other route in a pod's place, whoever's it was.
        else if (type === RTM_NEWROUTE) this.#all = true;
        // The one that answers for addresses that no pod has.
        else if (
          pools.some(({ cidr }) => String(cidr) === String(destination))
        ) {
          this.#node = true;
        }
        return;
      }
    }
  }

  /** The kernel tells of a new pod's carrier while the rest of it is being made. */
  #ofPod({ ids, links, isNew }: SeenPod, glance: Glance): void {
    const { type, from, body, end } = glance;
    if (type === RTM_NEWROUTE || !matters(glance) && !isOfOwnTable(glance)) {
      return;
    }
    if (type === RTM_NEWNEIGH && isNew && isGateway(glance)) return;
    if (type === RTM_NEWLINK) {
      const link = linkCodec.read(from, body, end);
      const before = links.get(link.index);
      const now = stateOf(link);
      links.set(link.index, now);
      if (before === now || before === undefined && isNew && link.up) return;
    }
    for (const id of ids.keys()) this.#ids.add(id);
  }

  #ofLink(glance: Glance): void {
    const { from, body, end } = glance;
    // One that does not work yet, and is none of those that did: mostly it is being made.
    const isKnown = this.#links.has(indexOf(glance)) ||
      this.#bridges.has(indexOf(glance));
    if (!isKnown && !isWorking(glance)) return;
    const link = linkCodec.read(from, body, end);
    if (link.index === LOOPBACK_INDEX) {
      if (!link.up) this.#all = true;
      return;
    }
    const bridge = this.#bridges.get(link.index);
    if (bridge !== undefined) {
      if (bridge !== stateOfBridge(link)) this.#all = true;
      return;
    }
    const seen = this.#links.get(link.index);
    if (seen === undefined) {
      const known = this.#usersBridges.get(link.index);
      this.#learn(link, { isNew: true });
      // Pods may have had ports of one of this name.
      if (this.#usersBridges.get(link.index) !== known) this.#all = true;
      return;
    }
    if (stateOf(link) !== seen.state) this.#ids.add(seen.id);
  }

  /** Who only asks for one makes the kernel tell of it, too. */
  #ofQdisc(glance: Glance): void {
    const { from, body, end } = glance;
    const seen = this.#links.get(indexOf(glance));
    if (seen === undefined) return;
    const { header: { parent }, attrs } = qdiscMessage.read(from, body, end);
    const { kind, options } = attrs;
    const state = `${parent} ${kind} ${options?.toHex()}`;
    if (seen.qdisc !== state) this.#ids.add(seen.id);
    seen.qdisc = state;
  }

  #forget(index: number): Seen | undefined {
    const seen = this.#links.get(index);
    if (seen === undefined) return undefined;
    this.#links.delete(index);
    const { namespaceId, id } = seen;
    const pod = namespaceId === undefined
      ? undefined
      : this.#pods.get(namespaceId);
    if (namespaceId !== undefined && pod !== undefined) {
      const left = (pod.ids.get(id) ?? 1) - 1;
      if (left > 0) pod.ids.set(id, left);
      else pod.ids.delete(id);
      if (pod.ids.size === 0) this.#pods.delete(namespaceId);
    }
    return seen;
  }

  #ofPort(index: number | undefined): void {
    const seen = index === undefined ? undefined : this.#links.get(index);
    if (seen !== undefined) this.#ids.add(seen.id);
  }

  #ofIndex(index: number | undefined): void {
    if (index === undefined) return;
    const seen = this.#links.get(index);
    if (seen !== undefined) this.#ids.add(seen.id);
    // All, default, lo and uplinks: some switch of the node.
    else if (index <= LOOPBACK_INDEX) this.#node = true;
  }

  #ofTable(glance: Glance): void {
    const { type } = glance;
    if (tableNameOf(glance) !== TABLE) return;
    if (type === NftMessage.delTable) {
      this.#all = true;
    } else if (
      type === NftMessage.newSetElem || type === NftMessage.delSetElem
    ) {
      const { set, comments } = elementsOf(glance);
      if (isPeerSet(set)) {
        this.#rules = true;
        return;
      }
      for (const comment of comments) {
        const isKnown = comment !== undefined &&
          isId(comment) && this.#context.state.hasSandbox(comment);
        // Claims come when their sandbox has a directory, and go before it does.
        if (type === NftMessage.delSetElem) {
          if (isKnown) this.#ids.add(comment);
          else if (comment === undefined) this.#node = true;
        } else if (!isKnown) this.#node = true;
      }
    } else this.#node = true;
  }
}

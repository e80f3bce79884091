/**
 * Makes namespaces ahead, with all that does not depend on whose they will be.
 *
 * @module
 */
import { hasIpv6, type PodLink } from "../../attachment/pod_link.ts";
import { makeLink, prepareLink } from "../../attachment/routed_veth.ts";
import {
  type ClaimedAddress,
  NO_ROUTE,
} from "../../attachment/address_claims.ts";
import { SandboxError } from "../../errors.ts";
import type { AddressPool } from "../../ipam/pool.ts";
import { Cidr } from "../../net/cidr.ts";
import { matchRoute } from "../../rtnetlink/route.ts";
import { OwnDirectory } from "../../state/own_directory.ts";
import { removeIfEmpty } from "../../state/store.ts";
import type { NodeContext } from "../node/context.ts";
import { freeAddresses } from "../node/free_addresses.ts";
import { refuseStaleNode } from "../node/node_settings.ts";
import type { WarmNamespace } from "../node/warm_pool.ts";
import { newHostLink, newMac } from "../records/identity.ts";
import {
  removeWarmDirectories,
  WarmDirectory,
} from "../records/warm_directory.ts";
import { nodeResolver } from "./dns_files.ts";
import {
  DEFAULT_INTERFACE,
  FIRST_INDEX,
  newPodNamespace,
} from "./pod_namespace.ts";

/** What is needed of a node. */
type Parts = Pick<
  NodeContext,
  "sockets" | "namespace" | "settings" | "state" | "pools" | "ipv6"
>;

/** See the module. */
export class WarmMaker implements Disposable {
  readonly #node: Parts;
  #directory: OwnDirectory | undefined;
  #isDisposed = false;
  /** Addresses of those that are not taken yet: nobody has claimed them. */
  readonly #promised = new Set<string>();

  constructor(node: Parts) {
    this.#node = node;
  }

  /** Makes one; undefined when this was disposed while it waited for its turn. */
  async make(): Promise<WarmNamespace | undefined> {
    const { state } = this.#node;
    // Nobody takes the node down meanwhile.
    using _node = await state.lock("shared");
    if (this.#isDisposed) return undefined;
    refuseStaleNode(this.#node);
    // The node may have been taken down since, and set up anew: one that was made again at its path would not be locked.
    if (!this.#directory?.isThere) {
      this.#directory?.unlock();
      this.#directory = undefined;
      removeWarmDirectories(state.warmDirectory);
      this.#directory = OwnDirectory.make(state.warmDirectory);
    }
    const addresses = this.#node.pools.map((pool) => this.#address(pool));
    const made = prepare(this.#node, this.#directory, addresses);
    const texts = addresses.map(({ address }) => String(address));
    for (const text of texts) this.#promised.add(text);
    return {
      ...made,
      [Symbol.dispose]: () => {
        made[Symbol.dispose]();
        for (const text of texts) this.#promised.delete(text);
      },
    };
  }

  /** An address that nobody has, by chance: whose it will be is not known, and it is claimed then. */
  #address(pool: AddressPool): ClaimedAddress {
    const { route } = this.#node.sockets;
    const { gateway, cidr, size } = pool;
    const seed = crypto.getRandomValues(new Uint8Array(32));
    for (const address of freeAddresses(this.#node, pool, seed)) {
      if (this.#promised.has(String(address))) continue;
      const [way] = route.request(matchRoute(address), ...NO_ROUTE);
      const host = String(Cidr.host(address));
      if (String(way?.destination) !== host) return { address, gateway };
    }
    throw new SandboxError("AddressPoolExhausted", {
      cidr: String(cidr),
      size: Number(size),
    });
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    if (this.#directory === undefined) return;
    this.#directory[Symbol.dispose]();
    removeIfEmpty(this.#node.state.warmDirectory);
  }
}

function prepare(
  { sockets: { route, ipv6Guard }, namespace: node, settings, pools, ipv6 }:
    Parts,
  pool: OwnDirectory,
  addresses: readonly ClaimedAddress[],
): WarmNamespace {
  const { mtu } = settings;
  using opened = new DisposableStack();
  const pod = opened.use(newPodNamespace({ namespace: node }));
  const { namespace, podRoute } = pod;
  const hostLink = newHostLink();
  const link: PodLink = {
    hostInterface: hostLink.name,
    hostIndex: hostLink.index,
    alias: "",
    podIndex: FIRST_INDEX,
    interfaceName: DEFAULT_INTERFACE,
    mac: newMac(),
    mtu,
    ipv6: hasIpv6(ipv6, mtu),
    prepared: undefined,
    defaultRoute: true,
    ownTable: false,
    routes: [],
    bandwidth: undefined,
  };
  makeLink(route, namespace, link);
  ipv6Guard?.guard(hostLink.name, pools.some(({ cidr }) => cidr.family === 6));
  prepareLink(route, podRoute, link, addresses);
  const directory = opened.use(
    WarmDirectory.make(pool, namespace, nodeResolver()),
  );
  const owned = opened.move();
  return {
    namespace,
    podRoute,
    hostLink,
    prepared: { mac: link.mac, addresses },
    directory,
    [Symbol.dispose]: () => owned.dispose(),
  };
}

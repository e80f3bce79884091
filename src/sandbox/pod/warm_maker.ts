/**
 * Makes namespaces ahead, with all that does not depend on whose they will be.
 *
 * @module
 */
import { hasIpv6, type PodLink } from "../../attachment/pod_link.ts";
import {
  guardIpv6,
  makeLink,
  prepareLink,
} from "../../attachment/routed_veth.ts";
import { MacAddress } from "../../net/mac.ts";
import { OwnDirectory } from "../../state/own_directory.ts";
import { removeIfEmpty } from "../../state/store.ts";
import type { NodeContext } from "../node/context.ts";
import { refuseStaleNode } from "../node/node_settings.ts";
import type { WarmNamespace } from "../node/warm_pool.ts";
import { newHostLink } from "../records/identity.ts";
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
import { routingOf } from "./recorded_wiring.ts";

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
    return prepare(this.#node, this.#directory);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    if (this.#directory === undefined) return;
    this.#directory[Symbol.dispose]();
    removeIfEmpty(this.#node.state.warmDirectory);
  }
}

function prepare(
  { sockets: { route, ipv6Settings }, namespace: node, settings, pools, ipv6 }:
    Parts,
  pool: OwnDirectory,
): WarmNamespace {
  const { mtu } = settings;
  using opened = new DisposableStack();
  const { namespace, podRoute } = newPodNamespace(opened, { namespace: node });
  const hostLink = newHostLink();
  const link: PodLink = {
    hostInterface: hostLink.name,
    hostIndex: hostLink.index,
    alias: "",
    podIndex: FIRST_INDEX,
    interfaceName: DEFAULT_INTERFACE,
    // Until it is somebody's.
    mac: MacAddress.parse("02:00:00:00:00:00"),
    mtu,
    ipv6: hasIpv6(ipv6, mtu),
    ...routingOf({ defaultRoute: true, routes: [] }),
  };
  makeLink(route, namespace, link);
  guardIpv6(
    ipv6Settings,
    hostLink.name,
    pools.some(({ cidr }) => cidr.family === 6),
  );
  prepareLink(route, podRoute, link, pools.map(({ gateway }) => gateway));
  const directory = opened.use(
    WarmDirectory.make(pool, namespace, nodeResolver()),
  );
  const owned = opened.move();
  return {
    namespace,
    podRoute,
    hostLink,
    directory,
    [Symbol.dispose]: () => owned.dispose(),
  };
}

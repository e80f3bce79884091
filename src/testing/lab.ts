/**
 * Whole networks inside one process, for tests: nodes and an outside host as network namespaces on common segments.
 *
 * @module
 */
import { connect, listen, serve, spawn } from "../namespace/pod_io.ts";
import type {
  PodConnectOptions,
  PodListenOptions,
  PodServeOptions,
} from "../namespace/pod_io.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { PodWorker, type PodWorkerOptions } from "../namespace/worker.ts";
import { Cidr } from "../net/cidr.ts";
import { IpAddress } from "../net/ip.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { newRoute } from "../rtnetlink/route.ts";
import { ClusterPaths } from "../cluster/cluster_paths.ts";
import { ownEndpoint } from "../cluster/endpoint.ts";
import type { ClusterMember } from "../cluster/member.ts";
import { parsePathOptions, type PathOptions } from "../cluster/path_options.ts";
import { underlayOf } from "../cluster/underlay.ts";
import type { Node } from "../sandbox/node.ts";
import { openNode } from "../sandbox/open_node.ts";
import { LabDirectory } from "./lab_directory.ts";
import { Segments } from "./segments.ts";
import { Underlay } from "./underlay.ts";

/** A list of `N` members, for a number that is known when the program is written; else of one at least. */
export type Several<T, N extends number, Members extends readonly T[] = []> =
  number extends N ? readonly [T, ...T[]]
    : Members["length"] extends N ? Members
    : Several<T, N, readonly [...Members, T]>;

/** What a lab is to be. */
export interface LabOptions<N extends number = number> {
  /**
   * Number of nodes, 1–200.
   * @default 1
   */
  readonly nodes?: N;
  /**
   * IP versions of nodes and pods, in the order of pods' addresses.
   * @default [4, 6]
   */
  readonly families?: readonly (4 | 6)[];
  /**
   * Whether pods reach the outside host by their node's address.
   * @default true
   */
  readonly masquerade?: boolean;
  /**
   * Number of segments, 1–8; nodes take turns on them. With more than one there is a router between them, which knows
   * nothing of pods.
   * @default 1
   */
  readonly segments?: number;
  /**
   * IP versions of the segments.
   * @default those of nodes and pods
   */
  readonly underlay?: readonly (4 | 6)[];
  /**
   * Joins the nodes to a cluster: each reaches the others' pods by `ClusterPaths` with these options.
   * @default nodes of one segment have plain routes, others none
   */
  readonly paths?: PathOptions;
}

/** A machine of a lab. This process can open sockets and start processes on it. */
export class LabHost {
  /** Such as `outside`. */
  readonly name: string;
  /** Its addresses, in the order of the lab's families. */
  readonly addresses: readonly string[];
  /** The network namespace that it is. */
  readonly namespace: NetworkNamespace;

  /** @ignore Use {@linkcode createLab}. */
  constructor(
    name: string,
    addresses: readonly string[],
    namespace: NetworkNamespace,
  ) {
    this.name = name;
    this.addresses = addresses;
    this.namespace = namespace;
  }

  /** Listens on a TCP port of the host. Needs `--allow-net`. */
  listen(options: PodListenOptions): Deno.TcpListener {
    return listen(this.namespace, options);
  }

  /** Serves HTTP on a port of the host. Needs `--allow-net`. */
  serve(
    options: PodServeOptions,
    handler: Deno.ServeHandler<Deno.NetAddr>,
  ): Deno.HttpServer<Deno.NetAddr> {
    return serve(this.namespace, options, handler);
  }

  /** Connects from the host by TCP, to an IP address. Needs `--allow-net`. */
  connect(options: PodConnectOptions): Promise<Deno.TcpConn> {
    return connect(this.namespace, options);
  }

  /** Starts a process on the host. Needs `--allow-run`. */
  spawn(
    command: string | URL,
    options?: Deno.CommandOptions,
  ): Deno.ChildProcess {
    return spawn(this.namespace, command, options);
  }

  /** Runs a module in a worker born on the host. Needs `--allow-read` of the module. */
  worker(url: string | URL, options?: PodWorkerOptions): PodWorker {
    return PodWorker.start(this.namespace, url, options);
  }
}

/** A node's part of a cluster. */
interface JoinedNode {
  readonly member: ClusterMember;
  readonly paths: ClusterPaths;
}

/** A machine of a lab that pods run on. */
export class LabNode extends LabHost {
  /** The open node. */
  readonly node: Node;
  readonly #joined: JoinedNode | undefined;

  /** @ignore Use {@linkcode createLab}. */
  constructor(host: LabHost, node: Node, joined?: JoinedNode) {
    super(host.name, host.addresses, host.namespace);
    this.node = node;
    this.#joined = joined;
  }

  /**
   * What the others know of it.
   *
   * @throws {TypeError} in a lab without `paths`
   */
  get member(): ClusterMember {
    return this.#join.member;
  }

  /**
   * Its paths to the others.
   *
   * @throws {TypeError} in a lab without `paths`
   */
  get paths(): ClusterPaths {
    return this.#join.paths;
  }

  get #join(): JoinedNode {
    if (this.#joined !== undefined) return this.#joined;
    throw new TypeError("the lab was made without paths");
  }
}

/**
 * A network for a test. Disposing it takes all of it away. What a process that died before leaves, a directory in `/tmp`
 * with mounts, the next lab on the machine removes.
 */
export class Lab<
  Nodes extends readonly LabNode[] = Several<LabNode, number>,
> implements AsyncDisposable {
  /** `node-1`, `node-2` and so on, as many as were asked for. */
  readonly nodes: Nodes;
  /** A machine that is no node: it reaches nodes, and pods through host ports only. */
  readonly outside: LabHost;
  readonly #owned: AsyncDisposableStack;

  /** @ignore Use {@linkcode createLab}. */
  constructor(
    nodes: Nodes,
    outside: LabHost,
    owned: AsyncDisposableStack,
  ) {
    this.nodes = nodes;
    this.outside = outside;
    this.#owned = owned;
  }

  /** The first node; most labs have just one. */
  get node(): Node {
    const [first]: readonly LabNode[] = this.nodes;
    if (first === undefined) throw new TypeError("the lab has no node");
    return first.node;
  }

  /** Takes everything away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]();
  }
}

const MAX_NODES = 200;
const MAX_SEGMENTS = 8;

/**
 * Makes a lab: each node has an address on a segment, a pod CIDR of its own and routes to the others' pods.
 *
 * Needs root, or a user namespace: `unshare -Urnm deno test …` works for everybody. The machine's own network is not touched.
 *
 * @throws {RangeError} for a number of nodes that is not 1–200, of segments that is not 1–8, or families that are not 4 and 6
 * @throws {SandboxError} `NotPermitted`
 */
export async function createLab<const N extends number = 1>(
  options: LabOptions<N> = {},
): Promise<Lab<Several<LabNode, N>>> {
  const { nodes: count = 1, families = [4, 6], masquerade = true } = options;
  const { segments = 1, underlay = families } = options;
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES) {
    throw new RangeError(`a lab has 1 to ${MAX_NODES} nodes, not ${count}`);
  }
  for (const versions of [families, underlay]) {
    if (
      versions.length === 0 || new Set(versions).size !== versions.length ||
      versions.some((family) => family !== 4 && family !== 6)
    ) {
      throw new RangeError(
        `write families [4], [6], [4, 6] or [6, 4], not [${
          versions.join(", ")
        }]`,
      );
    }
  }
  if (!Number.isInteger(segments) || segments < 1 || segments > MAX_SEGMENTS) {
    throw new RangeError(
      `a lab has 1 to ${MAX_SEGMENTS} segments, not ${segments}`,
    );
  }
  await using owned = new AsyncDisposableStack();
  const directory = owned.use(LabDirectory.create());
  const all = owned.use(new Segments(segments, underlay));
  const addHost = (name: string, which: number, number: number): LabHost => {
    const { namespace, addresses } = all.add(which, number);
    owned.use(namespace);
    return new LabHost(name, addresses.map(String), namespace);
  };
  const outside = addHost("outside", 0, OUTSIDE_NUMBER);
  const hosts = Array.from(
    { length: count },
    (_, i) => addHost(`node-${i + 1}`, i, i + 1),
  );
  // Nodes and pods see pods as they are; the outside host is the outside world.
  const nonMasqueradeCidrs = options.paths !== undefined
    ? []
    : hosts.flatMap(({ addresses }, i) => [
      ...podCidrs(i + 1, families),
      ...addresses.map((text) => String(Cidr.host(IpAddress.parse(text)))),
    ]);
  const nodes: LabNode[] = [];
  for (const [i, host] of hosts.entries()) {
    const settings = {
      name: host.name,
      netns: host.namespace,
      stateDir: directory.path,
      podCidrs: podCidrs(i + 1, families),
      nonMasqueradeCidrs,
      masquerade,
    };
    if (options.paths === undefined) {
      nodes.push(new LabNode(host, owned.use(await openNode(settings))));
      continue;
    }
    const paths = {
      clusterCidrs: families.map((family) => CLUSTER_CIDR[family]),
      ...options.paths,
    };
    const { podMtu: mtu, ...endpoint } = ownEndpoint(
      host.name,
      underlayOf(host.namespace),
      parsePathOptions(paths),
    );
    const node = owned.use(await openNode({ ...settings, mtu }));
    nodes.push(
      new LabNode(host, node, {
        member: { name: host.name, podCidrs: settings.podCidrs, ...endpoint },
        paths: ClusterPaths.open(node, paths),
      }),
    );
  }
  if (options.paths !== undefined) await joinAll(nodes);
  else if (segments === 1) { for (const host of nodes) addRoutes(host, nodes); }
  // As many as were asked for: one for each of `hosts`.
  return new Lab(
    nodes as unknown as Several<LabNode, N>,
    outside,
    owned.move(),
  );
}

/** Tells each node of all of them. */
async function joinAll(nodes: readonly LabNode[]): Promise<void> {
  const members = nodes.map(({ member }) => member);
  for (const { paths, member } of nodes) await paths.apply(member, members);
}

/** The last number of the outside host; nodes count from 1. */
const OUTSIDE_NUMBER = 254;

const CLUSTER_CIDR = { 4: "10.244.0.0/16", 6: "fd00:10:244::/48" } as const;

function podCidrs(number: number, families: readonly (4 | 6)[]): string[] {
  return families.map((family) =>
    family === 4 ? `10.244.${number}.0/24` : `fd00:10:244:${number}::/64`
  );
}

/** Every pod CIDR lies behind its node. */
function addRoutes(host: LabNode, nodes: readonly LabNode[]): void {
  using route = host.namespace.run(() => Connection.open(NETLINK_ROUTE));
  for (const other of nodes) {
    if (other === host) continue;
    const gateways = other.addresses.map(IpAddress.parse);
    for (const destination of other.node.podCidrs.map(Cidr.parse)) {
      const gateway = gateways.find(({ family }) =>
        family === destination.family
      );
      if (gateway === undefined) continue;
      route.execute([
        newRoute({ destination, gateway, index: Underlay.HOST_INDEX }),
      ]);
    }
  }
}

/**
 * Whole networks inside one process, for tests: nodes and an outside host as network namespaces on a common segment.
 *
 * @module
 */
import { connect, listen, serve, spawn } from "../namespace/pod_io.ts";
import type {
  PodConnectOptions,
  PodListenOptions,
  PodServeOptions,
} from "../namespace/pod_io.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { PodWorker, type PodWorkerOptions } from "../namespace/worker.ts";
import { Cidr } from "../net/cidr.ts";
import { IpAddress } from "../net/ip.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { newRoute } from "../rtnetlink/route.ts";
import type { Node } from "../sandbox/node.ts";
import { openNode } from "../sandbox/open_node.ts";
import { LabDirectory } from "./lab_directory.ts";
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

/** A machine of a lab that pods run on. */
export class LabNode extends LabHost {
  /** The open node. */
  readonly node: Node;

  /** @ignore Use {@linkcode createLab}. */
  constructor(host: LabHost, node: Node) {
    super(host.name, host.addresses, host.namespace);
    this.node = node;
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

/**
 * Makes a lab: each node has an address on a common segment, a pod CIDR of its own and routes to the others' pods.
 *
 * Needs root, or a user namespace: `unshare -Urnm deno test …` works for everybody. The machine's own network is not touched.
 *
 * @throws {RangeError} for a number of nodes that is not 1–200, or families that are not 4 and 6
 * @throws {SandboxError} `NotPermitted`
 */
export async function createLab<const N extends number = 1>(
  options: LabOptions<N> = {},
): Promise<Lab<Several<LabNode, N>>> {
  const { nodes: count = 1, families = [4, 6], masquerade = true } = options;
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES) {
    throw new RangeError(`a lab has 1 to ${MAX_NODES} nodes, not ${count}`);
  }
  if (
    families.length === 0 || new Set(families).size !== families.length ||
    families.some((family) => family !== 4 && family !== 6)
  ) {
    throw new RangeError(
      `write families [4], [6], [4, 6] or [6, 4], not [${families.join(", ")}]`,
    );
  }
  await using owned = new AsyncDisposableStack();
  const directory = owned.use(LabDirectory.create());
  const underlay = owned.use(new Underlay());
  const cidrs = families.map(underlayCidr);
  const addHost = (name: string, number: number): LabHost => {
    const namespace = owned.use(NetworkNamespace.create());
    const addresses = cidrs.map((cidr) => cidr.at(BigInt(number)));
    underlay.attach(namespace, number, addresses, cidrs);
    return new LabHost(name, addresses.map(String), namespace);
  };
  const outside = addHost("outside", OUTSIDE_NUMBER);
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  // Nodes and pods see pods as they are; the outside host is the outside world.
  const nonMasqueradeCidrs = numbers.flatMap((number) => [
    ...podCidrs(number, families),
    ...cidrs.map((cidr) => String(Cidr.host(cidr.at(BigInt(number))))),
  ]);
  const nodes: LabNode[] = [];
  for (const number of numbers) {
    const host = addHost(`node-${number}`, number);
    const node = owned.use(
      await openNode({
        name: host.name,
        netns: host.namespace,
        stateDir: directory.path,
        podCidrs: podCidrs(number, families),
        nonMasqueradeCidrs,
        masquerade,
      }),
    );
    nodes.push(new LabNode(host, node));
  }
  for (const host of nodes) addRoutes(host, nodes);
  // As many as were asked for: one for each of `numbers`.
  return new Lab(
    nodes as unknown as Several<LabNode, N>,
    outside,
    owned.move(),
  );
}

/** The last number of the outside host; nodes count from 1. */
const OUTSIDE_NUMBER = 254;

function underlayCidr(family: 4 | 6): Cidr {
  return Cidr.parse(family === 4 ? "192.168.50.0/24" : "fd50::/64");
}

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
    for (const [i, podCidr] of other.node.podCidrs.entries()) {
      const gateway = other.addresses[i];
      if (gateway === undefined) continue;
      route.execute([
        newRoute({
          destination: Cidr.parse(podCidr),
          gateway: IpAddress.parse(gateway),
          index: Underlay.HOST_INDEX,
        }),
      ]);
    }
  }
}

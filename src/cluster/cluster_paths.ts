/**
 * Paths to the pods of all other nodes: the kernel is brought to a plan, and kept there.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { SandboxError } from "../errors.ts";
import { NO_PEERS, samePeers } from "../hostport/peers.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { isNetlinkError, NetlinkError } from "../netlink/netlink_error.ts";
import { newLink } from "../rtnetlink/link.ts";
import { repairNode } from "../sandbox/check.ts";
import type { NodeContext } from "../sandbox/context.ts";
import { knownPeers } from "../sandbox/current_table.ts";
import {
  type Difference,
  difference,
  type Finding,
  findingOf,
  keyOf,
  type Repair,
} from "../sandbox/finding.ts";
import { contextOf, type Node } from "../sandbox/node.ts";
import {
  pathTunnels,
  removePathParts,
  tunnelAlias,
} from "../sandbox/path_parts.ts";
import { setPeers } from "../sandbox/peers.ts";
import { findParts } from "./found_parts.ts";
import type { ClusterMember } from "./member.ts";
import {
  type Change,
  changesBetween,
  type LinkNumbers,
  type Parts,
  partsOf,
} from "./parts.ts";
import { PathError } from "./path_error.ts";
import {
  type NormalisedPathOptions,
  parsePathOptions,
  type PathOptions,
} from "./path_options.ts";
import { type PathPlan, tunnelName } from "./path_plan.ts";
import { PathWatch, type WatchedLinks } from "./path_watch.ts";
import { planPaths } from "./plan_paths.ts";
import { type LinkChange, tunnelChanges } from "./tunnels.ts";
import { readUnderlay, type Underlay } from "./underlay.ts";

/** What {@linkcode ClusterPaths.apply} did. */
export interface PathReport {
  /** In plain words, one thing each; empty when all was in place. */
  readonly changes: readonly string[];
  /** Members that there is no path to, or no whole one, and why. All others have theirs. */
  readonly refused: readonly PathError[];
}

/** What was applied last. */
interface Asked {
  readonly self: ClusterMember;
  readonly members: readonly ClusterMember[];
}

/** What is in the kernel by this object's doing, as long as nobody else touches it. */
interface Known {
  readonly tunnels: string;
  readonly numbers: LinkNumbers;
  readonly parts: Parts;
}

/** Others may change something between a look and the change that follows from it. */
const ROUNDS = 4;
/** So that a send stays within the socket's buffer. */
const REQUESTS_A_SEND = 500;

/**
 * The paths from one node to all others.
 *
 * ```ts ignore
 * const options = { backend: "auto", clusterCidrs: ["10.244.0.0/16"] };
 * // Before there is a node: what this one tells the others, and the MTU that its pods need.
 * const own = ownEndpoint(name, underlayOf(namespace), parsePathOptions(options));
 * await using node = await openNode({ name, podCidrs, mtu: own.podMtu });
 * const paths = ClusterPaths.open(node, options);
 * // Whenever a member comes, goes or changes; this node may be among them.
 * await paths.apply({ name, podCidrs, addresses: own.addresses, vxlan: own.vxlan }, members);
 * ```
 *
 * It owns nothing and need not be disposed: paths outlive it and the process, as pods do. Another process that applies the
 * same members finds all in place. Calls of one object come one after the other. What it has of the kernel bears marks: routes
 * and rules a protocol number of their own, tunnels an alias; all else is left alone. It works in the node's namespace.
 */
export class ClusterPaths {
  readonly #context: NodeContext;
  readonly #options: NormalisedPathOptions;
  #asked: Asked | undefined;
  #known: Known | undefined;
  #last: Promise<unknown> = Promise.resolve();
  readonly #watches = new Set<PathWatch>();

  private constructor(context: NodeContext, options: NormalisedPathOptions) {
    this.#context = context;
    this.#options = options;
  }

  /**
   * Changes nothing yet.
   *
   * @throws {SandboxError} `InvalidSpec`; `UnsupportedKernel` with backend `wireguard` where the kernel has none
   */
  static open(node: Node, options: PathOptions = {}): ClusterPaths {
    const parsed = parsePathOptions(options);
    if (parsed.backend === "wireguard") refuseWireguard();
    return new ClusterPaths(contextOf(node), parsed);
  }

  /** What should be in the kernel; undefined before the first {@linkcode ClusterPaths.apply}. */
  get plan(): PathPlan | undefined {
    return this.#asked && this.#plan(this.#asked);
  }

  /**
   * Brings the kernel to what follows from these members, by as few changes as it takes. The first time all is compared with
   * the kernel, later only with what was there before; {@linkcode ClusterPaths.repair} looks at everything.
   *
   * A member that claims what it cannot have, or that cannot be reached, is in `refused` and does not keep the others from it.
   *
   * @param self this node as the others know it
   * @param members all nodes, in any order
   * @throws {PathError} `LinkTaken`
   * @throws {SandboxError} `UnsupportedKernel`, `NodeNotFound`, `NodeConflict`
   * @throws {NetlinkError} when the kernel refuses something though it was tried again; what it did not refuse is in place
   */
  apply(
    self: ClusterMember,
    members: readonly ClusterMember[],
  ): Promise<PathReport> {
    return this.#alone(() => {
      this.#asked = { self, members };
      return this.#apply(this.#asked);
    });
  }

  /** Compares the kernel with the members that were applied last; an empty list means that all is as it should be. */
  check(): Promise<Finding[]> {
    return this.#alone(() => Promise.resolve(this.#differences()));
  }

  /**
   * Mends what {@linkcode ClusterPaths.check} finds, and tells what is mended and what is not. Paths that are right are not
   * touched.
   *
   * @throws what {@linkcode ClusterPaths.apply} throws
   */
  repair(): Promise<Repair> {
    return this.#alone(async () => {
      this.#known = undefined;
      const found = this.#differences();
      if (found.length === 0 || this.#asked === undefined) {
        return { mended: [], remaining: found };
      }
      await this.#apply(this.#asked);
      const remaining = this.#differences();
      const left = new Set(remaining.map(keyOf));
      return {
        mended: found.filter((finding) => !left.has(keyOf(finding))),
        remaining,
      };
    });
  }

  /**
   * Takes all paths away, also those of an earlier process.
   *
   * @returns what was removed, in plain words
   */
  remove(): Promise<string[]> {
    return this.#alone(async () => {
      this.#asked = this.#known = undefined;
      const { sockets, settings } = this.#context;
      const removed = removePathParts(sockets.route, settings.name);
      await setPeers(this.#context, NO_PEERS);
      return removed;
    });
  }

  /**
   * Calls `tell` soon after somebody else has touched links, addresses, routes, rules or neighbours that paths are made of, or
   * after the kernel has, as when a link goes down: {@linkcode ClusterPaths.repair} mends what it was. What others do while
   * this object is at work itself may go unnoticed. It keeps the process alive until it is disposed.
   */
  watch(tell: () => void): AsyncDisposable {
    const watch = new PathWatch(
      this.#context.namespace,
      () => this.#links(),
      () => this.#last,
      tell,
    );
    this.#watches.add(watch);
    return {
      [Symbol.asyncDispose]: () => {
        this.#watches.delete(watch);
        return watch[Symbol.asyncDispose]();
      },
    };
  }

  #links(): WatchedLinks {
    const tunnels = new Set<number>();
    const underlay = new Set<number>();
    for (const [name, index] of this.#known?.numbers ?? []) {
      (TUNNELS.has(name) ? tunnels : underlay).add(index);
    }
    return { tunnels, underlay };
  }

  /** One after the other. What each does itself is no news to watches. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work).finally(() => {
      for (const watch of this.#watches) watch.discard();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  #plan(
    { self, members }: Asked,
    underlay: Underlay = readUnderlay(this.#context.sockets.route),
  ): PathPlan {
    const options = this.#options;
    return planPaths({ underlay, self, members, options });
  }

  async #apply(asked: Asked): Promise<PathReport> {
    const changes: string[] = [];
    for (let round = 1;; round++) {
      const underlay = readUnderlay(this.#context.sockets.route);
      const plan = this.#plan(asked, underlay);
      try {
        // Before any packet takes a new path: whose source it keeps is decided by the first one of a connection.
        if (await setPeers(this.#context, plan.peers)) {
          changes.push(
            `told the packet rules of ${plan.peers.networks.length} networks of other nodes`,
          );
        }
        this.#converge(plan, underlay, changes);
        return { changes, refused: plan.refused };
      } catch (error) {
        this.#known = undefined;
        if (!(error instanceof NetlinkError) || round === ROUNDS) {
          throw explain(error, plan, asked.self.name);
        }
        // A route's source address is part of the node itself.
        await repairNode(this.#context, { ids: [], wiring: false });
      }
    }
  }

  #converge(plan: PathPlan, underlay: Underlay, changes: string[]): void {
    const { sockets: { route } } = this.#context;
    const tunnels = JSON.stringify(plan.tunnels);
    let late: LinkChange[] = [];
    if (this.#known?.tunnels !== tunnels) {
      const needed = this.#tunnelChanges(plan);
      // One that goes may be in the way of one that comes; else it goes last, when nothing leads there any more.
      const isFirst = needed.some(({ does }) => does === "add");
      late = isFirst ? [] : needed.filter(({ does }) => does === "remove");
      for (const change of needed) {
        if (!late.includes(change)) this.#changeLink(change, changes);
      }
      this.#known = undefined;
    }
    const numbers = new Map(
      underlay.networks.map(({ link, index }) => [link, index]),
    );
    if (this.#known === undefined) {
      const found = pathTunnels(route, this.#context.settings.name);
      for (const { name, index } of found) numbers.set(name, index);
      this.#known = { tunnels, numbers, parts: findParts(route, found) };
    } else {
      for (const { name } of plan.tunnels) {
        const index = this.#known.numbers.get(name);
        if (index !== undefined) numbers.set(name, index);
      }
    }
    const wanted = partsOf(plan, numbers);
    const needed = changesBetween(this.#known.parts, wanted);
    for (let at = 0; at < needed.length; at += REQUESTS_A_SEND) {
      const some = needed.slice(at, at + REQUESTS_A_SEND);
      try {
        route.execute(some.map(({ request }) => request()));
        changes.push(...some.map(textOf));
      } catch (error) {
        if (error instanceof NetlinkError) {
          // The kernel has carried out all others.
          const failed = error.failures.map(({ index }) => index);
          const done = some.filter((_, i) => !failed.includes(i));
          changes.push(...done.map(textOf));
        }
        throw error;
      }
    }
    this.#known = { tunnels, numbers, parts: wanted };
    for (const change of late) this.#changeLink(change, changes);
  }

  #tunnelChanges({ tunnels }: PathPlan): LinkChange[] {
    const { sockets, settings: { name } } = this.#context;
    return tunnelChanges(
      pathTunnels(sockets.route, name),
      tunnels,
      tunnelAlias(name),
    );
  }

  #changeLink({ object, does, requests }: LinkChange, changes: string[]): void {
    this.#context.sockets.route.execute(requests);
    changes.push(`${DONE[does]} ${object}`);
  }

  #differences(): Finding[] {
    if (this.#asked === undefined) return [];
    const { sockets: { route }, settings } = this.#context;
    const underlay = readUnderlay(route);
    const plan = this.#plan(this.#asked, underlay);
    const found = pathTunnels(route, settings.name);
    const numbers = new Map([
      ...underlay.networks.map(({ link, index }) => [link, index] as const),
      ...found.map(({ name, index }) => [name, index] as const),
    ]);
    const parts = changesBetween(
      findParts(route, found),
      partsOf(plan, numbers),
    );
    const differences: Difference[] = [
      ...samePeers(plan.peers, knownPeers(this.#context)) ? [] : [difference(
        undefined,
        "record of other nodes",
        "is not what was applied",
        { does: "writes it anew" },
      )],
      ...this.#tunnelChanges(plan).map(({ object, problem, does }) =>
        difference(undefined, object, problem, { does: `${does}s it` })
      ),
      ...parts.map(({ part, does }) =>
        difference(undefined, part.text, PROBLEMS[does], {
          does: `${does}s it`,
        })
      ),
    ];
    return differences.map(findingOf);
  }
}

const TUNNELS: ReadonlySet<string> = new Set([tunnelName(4), tunnelName(6)]);

const DONE = { add: "added", change: "changed", remove: "removed" } as const;

const PROBLEMS = {
  add: "is missing",
  change: "leads elsewhere",
  remove: "is none that it should be",
} as const;

function textOf({ does, part }: Change): string {
  return `${DONE[does]} ${part.text}`;
}

/** What the kernel's refusal means. */
function explain(error: unknown, plan: PathPlan, name: string): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const tunnel = plan.tunnels.find(({ name }) =>
    error.operation === `create vxlan ${name}`
  );
  if (tunnel === undefined) return error;
  if (isNetlinkError(error, Errno.EOPNOTSUPP)) {
    return new SandboxError("UnsupportedKernel", { feature: "VXLAN" }, {
      cause: error,
    });
  }
  return isNetlinkError(error, Errno.EEXIST)
    ? new PathError(
      "LinkTaken",
      name,
      `somebody else has link ${tunnel.name}, or a tunnel with identifier ${tunnel.vni} and port ${tunnel.port}: remove that, or use another identifier or port`,
    )
    : error;
}

/** WireGuard is planned for; that the plan is carried out could not be tried, so it is not. */
function refuseWireguard(): never {
  using namespace = NetworkNamespace.create();
  using route = namespace.run(() => Connection.open(NETLINK_ROUTE));
  try {
    route.execute([
      newLink({ name: "wg0", info: { $other: { name: "wireguard" } } }),
    ]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.EOPNOTSUPP)) throw error;
    throw new SandboxError("UnsupportedKernel", { feature: "WireGuard" }, {
      cause: error,
    });
  }
  throw new SandboxError("InvalidSpec", {
    problems: [{
      path: "backend",
      message:
        'wireguard can be planned and not yet be carried out: write "auto", "host-gw" or "vxlan"',
      received: "wireguard",
    }],
  });
}

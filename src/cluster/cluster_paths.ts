/**
 * Paths to the pods of all other nodes: the kernel is brought to a plan, and kept there.
 *
 * @module
 */
import { NO_PEERS, samePeers } from "../hostport/peers.ts";
import { NetlinkError } from "../netlink/netlink_error.ts";
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
import {
  explain,
  failuresOf,
  refusalOf,
  type Refused,
  refuseWireguard,
} from "./kernel_refusal.ts";
import type { ClusterMember } from "./member.ts";
import {
  type Change,
  changesBetween,
  type LinkNumbers,
  type Parts,
  partsOf,
} from "./parts.ts";
import type { PathError } from "./path_error.ts";
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
  /** What the kernel did not take the last time, as text. */
  #refused: ReadonlySet<string> = new Set();
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
   * @throws {NetlinkError} when the kernel refuses something that is not of one member though it was tried again; what it did
   * not refuse is in place
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
        const refused = this.#converge(plan, underlay, changes);
        // What it does not take twice is not tried again at once: of a member, it keeps nobody else from their paths.
        const isLasting = round === ROUNDS ||
          refused.every(({ text }) => this.#refused.has(text));
        if (isLasting) {
          this.#refused = new Set(refused.map(({ text }) => text));
          return {
            changes,
            refused: [...plan.refused, ...refused.map(refusalOf)],
          };
        }
        this.#known = undefined;
      } catch (error) {
        this.#known = undefined;
        if (!(error instanceof NetlinkError) || round === ROUNDS) {
          throw explain(error, plan, asked.self.name);
        }
      }
      // A route's source address is part of the node itself.
      await repairNode(this.#context, { ids: [], wiring: false });
    }
  }

  /** @returns what the kernel did not take, of single members */
  #converge(
    plan: PathPlan,
    underlay: Underlay,
    changes: string[],
  ): Refused[] {
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
    const refused: Refused[] = [];
    for (let at = 0; at < needed.length; at += REQUESTS_A_SEND) {
      const some = needed.slice(at, at + REQUESTS_A_SEND);
      const failures = failuresOf(() =>
        route.execute(some.map(({ request }) => request()))
      );
      // The kernel has carried out all others.
      changes.push(...some.filter((_, i) => !failures.has(i)).map(textOf));
      for (const [index, error] of failures) {
        const { part, does } = some[index] ?? {};
        if (part?.member === undefined || does === "remove") throw error;
        refused.push({
          part,
          member: part.member,
          error,
          text: `${part.key} ${part.value}`,
        });
      }
    }
    const parts = new Map(wanted);
    for (const { part: { key } } of refused) {
      const before = this.#known.parts.get(key);
      // What could not be changed is as it was.
      if (before === undefined) parts.delete(key);
      else parts.set(key, before);
    }
    this.#known = { tunnels, numbers, parts };
    for (const change of late) this.#changeLink(change, changes);
    return refused;
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

/**
 * Paths to the pods of all other nodes: the kernel is brought to a plan, and kept there.
 *
 * @module
 */
import { NO_PEERS, type NodePeers, samePeers } from "../hostport/peers.ts";
import { NetlinkError } from "../netlink/netlink_error.ts";
import type { Link } from "../rtnetlink/link.ts";
import { repairNode } from "../sandbox/check/check.ts";
import type { NodeContext } from "../sandbox/node/context.ts";
import { knownPeers } from "../sandbox/node/current_table.ts";
import { type Finding, keyOf, type Repair } from "../sandbox/node/finding.ts";
import { contextOf, type Node } from "../sandbox/node.ts";
import { refuseStaleNode } from "../sandbox/node/node_settings.ts";
import { explained } from "../sandbox/node/permission.ts";
import {
  pathTunnels,
  removePathParts,
  tunnelAlias,
} from "../sandbox/node/path_parts.ts";
import { hasPeers, setPeers } from "../sandbox/peers.ts";
import { carryOut, changeLink } from "./carry_out.ts";
import { findParts } from "./found_parts.ts";
import {
  explain,
  refusalOf,
  type Refused,
  refuseWireguard,
} from "./kernel_refusal.ts";
import type { ClusterMember } from "./member.ts";
import {
  changesBetween,
  type LinkNumbers,
  type Part,
  type Parts,
  partsOf,
} from "./parts.ts";
import type { PathError } from "./path_error.ts";
import { findingsOf } from "./path_findings.ts";
import {
  type NormalisedPathOptions,
  parsePathOptions,
  type PathOptions,
} from "./path_options.ts";
import {
  type PathFacts,
  type PathPlan,
  type TunnelLink,
  tunnelName,
} from "./path_plan.ts";
import { PathPlanner, peersOf, type ShareChange } from "./path_planner.ts";
import { PathWatch, type WatchedLinks } from "./path_watch.ts";
import { planPaths } from "./plan_paths.ts";
import { inTurns, type Steps } from "../steps.ts";
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

/** The plan of what was applied last. */
interface Planned {
  /** As text. */
  readonly facts: string;
  readonly planner: PathPlanner;
}

/** How the kernel is by this object's doing, as long as nobody else touches it: as planned. */
interface Known {
  readonly planner: PathPlanner;
  readonly peers: NodePeers;
  readonly tunnels: string;
  readonly numbers: LinkNumbers;
  /** But for what the kernel did not take: what there is by the same keys. */
  readonly amiss: ReadonlyMap<string, Part | undefined>;
  /** Names of the members of these. */
  readonly refused: ReadonlySet<string>;
}

/** Others may change something between a look and the change that follows from it. */
const ROUNDS = 4;

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
 * and rules a protocol number of their own, tunnels an alias; all else is left alone. It works in the node's namespace, and
 * fails with `NodeClosed` once that is closed.
 */
export class ClusterPaths {
  readonly #context: NodeContext;
  readonly #options: NormalisedPathOptions;
  #asked: Asked | undefined;
  #planned: Planned | undefined;
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
    refuseWireguard(parsed.backend);
    return new ClusterPaths(contextOf(node), parsed);
  }

  /** What should be in the kernel; undefined before the first {@linkcode ClusterPaths.apply}. */
  get plan(): PathPlan | undefined {
    if (this.#asked === undefined) return undefined;
    const { self, members } = this.#asked;
    return planPaths({ ...this.#facts(self), members });
  }

  /**
   * Brings the kernel to what follows from these members, by as few changes as it takes. The first time all is compared with
   * the kernel, later only with what was there before; {@linkcode ClusterPaths.repair} looks at everything.
   *
   * A member that claims what it cannot have, or that cannot be reached, is in `refused` and does not keep the others from it.
   *
   * @param self this node as the others know it
   * @param members all nodes, in any order. One that is the same object as before is taken to say the same
   * @throws {PathError} `LinkTaken`
   * @throws {SandboxError} `UnsupportedKernel`, `NodeNotFound`, `NodeConflict`
   * @throws {NetlinkError} when the kernel refuses something that is not of one member though it was tried again; what it did
   * not refuse is in place
   */
  apply(
    self: ClusterMember,
    members: readonly ClusterMember[],
  ): Promise<PathReport> {
    const asked = { self, members: [...members] };
    return this.#alone(() => {
      this.#asked = asked;
      return this.#apply(asked);
    });
  }

  /** Compares the kernel with the members that were applied last; an empty list means that all is as it should be. */
  check(): Promise<Finding[]> {
    return this.#alone(() => this.#differences());
  }

  /**
   * Mends what {@linkcode ClusterPaths.check} finds, and tells what is mended and what is not. Paths that are right are not
   * touched.
   *
   * @throws what {@linkcode ClusterPaths.apply} throws
   */
  repair(): Promise<Repair> {
    return this.#alone(async () => {
      const found = await this.#differences();
      if (found.length === 0 || this.#asked === undefined) {
        return { mended: [], remaining: found };
      }
      this.#known = undefined;
      await this.#apply(this.#asked);
      const remaining = await this.#differences();
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
      this.#asked = this.#planned = this.#known = undefined;
      const { sockets, settings } = this.#context;
      const removed = removePathParts(sockets.route, settings.name);
      await setPeers(this.#context, NO_PEERS);
      return removed;
    });
  }

  /**
   * Calls `tell` soon after somebody else has touched links, addresses, routes, rules or neighbours that paths are made of, or
   * after the kernel has, as when a link goes down: {@linkcode ClusterPaths.repair} mends what it was. What others do while
   * this object is at work itself may go unnoticed. It keeps the process alive until it is disposed or
   * its node is closed.
   *
   * @throws {SandboxError} `NodeClosed`
   */
  watch(tell: () => void): AsyncDisposable {
    const { namespace, state } = this.#context;
    state.refuseClosed();
    const watch = new PathWatch(
      namespace,
      state.closed,
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
    const { state } = this.#context;
    const asked = this.#last.then(() => explained(state, work));
    const result = asked.finally(() => {
      for (const watch of this.#watches) watch.discard();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #apply(asked: Asked): Promise<PathReport> {
    const changes: string[] = [];
    for (let round = 1;; round++) {
      const facts = this.#facts(asked.self);
      const planner = this.#plannerFor(facts);
      try {
        const known = this.#known?.planner === planner
          ? this.#known
          : undefined;
        const change = await this.#inTurns(
          planner.update(asked.members, known?.refused),
        );
        // Before any packet takes a new path: whose source it keeps is decided by the first one of a connection.
        const { peers } = planner;
        const since = known && {
          from: known.peers,
          before: peersOf(change.before),
          now: peersOf(change.now),
        };
        if (await setPeers(this.#context, peers, since)) {
          changes.push(
            `told the packet rules of ${peers.networks.length} networks of other nodes`,
          );
        }
        const refused = await this.#inTurns(
          this.#converge(planner, { ...facts, known, change, changes }),
        );
        // What it does not take twice is not tried again at once: of a member, it keeps nobody else from their paths.
        const isLasting = refused.every(({ text }) => this.#refused.has(text));
        // Others had their turns: the node may be in other networks by now.
        const isStill = planner === this.#plannerFor(this.#facts(asked.self));
        if (isLasting && isStill || round === ROUNDS) {
          this.#refused = new Set(refused.map(({ text }) => text));
          return {
            changes,
            refused: [...planner.refused, ...refused.map(refusalOf)],
          };
        }
        this.#known = undefined;
      } catch (error) {
        this.#known = undefined;
        if (!(error instanceof NetlinkError) || round === ROUNDS) {
          throw explain(error, planner.tunnels, asked.self.name);
        }
      }
      // A route's source address is part of the node itself.
      await repairNode(this.#context, { ids: [], wiring: false });
    }
  }

  #facts(self: ClusterMember): PathFacts {
    const underlay = readUnderlay(this.#context.sockets.route);
    return { underlay, self, options: this.#options };
  }

  /** The one of before, if it was for the same facts. */
  #plannerFor(facts: PathFacts): PathPlanner {
    const text = JSON.stringify(facts);
    if (this.#planned?.facts !== text) {
      this.#planned = { facts: text, planner: new PathPlanner(facts) };
    }
    return this.#planned.planner;
  }

  /** Others have their turns meanwhile; when they have taken the node down, that was it. */
  async #inTurns<T>(steps: Steps<T>): Promise<T> {
    try {
      return await inTurns(steps, () => refuseStaleNode(this.#context));
    } catch (error) {
      // Half of it may be done.
      this.#planned = this.#known = undefined;
      throw error;
    }
  }

  /** @returns what the kernel did not take, of single members */
  *#converge(
    planner: PathPlanner,
    { underlay, known, change, changes }: {
      readonly underlay: Underlay;
      readonly known: Known | undefined;
      readonly change: ShareChange;
      readonly changes: string[];
    },
  ): Steps<Refused[]> {
    const { sockets: { route } } = this.#context;
    const tunnels = JSON.stringify(planner.tunnels);
    this.#known = undefined;
    const isWhole = known?.tunnels !== tunnels;
    const late = isWhole ? this.#changeTunnels(planner.tunnels, changes) : [];
    const links = isWhole ? this.#tunnelLinks() : [];
    const numbers = isWhole ? numbersOf(underlay, links) : known.numbers;
    const found = isWhole
      ? yield* findParts(route, links)
      : withAmiss(yield* partsOf(change.before, numbers), known.amiss);
    const wanted = yield* partsOf(
      isWhole ? planner.shares : change.now,
      numbers,
    );
    const refused = yield* carryOut(
      route,
      yield* changesBetween(found, wanted),
      changes,
    );
    this.#known = {
      planner,
      peers: planner.peers,
      tunnels,
      numbers,
      amiss: new Map(refused.map(({ part: { key } }) => [key, found.get(key)])),
      refused: new Set(refused.map(({ member }) => member)),
    };
    for (const change of late) changeLink(route, change, changes);
    return refused;
  }

  #tunnelLinks(): Link[] {
    const { sockets: { route }, settings: { name } } = this.#context;
    return pathTunnels(route, name);
  }

  /** @returns what is to be done when nothing leads there any more */
  #changeTunnels(
    tunnels: readonly TunnelLink[],
    changes: string[],
  ): readonly LinkChange[] {
    const { sockets: { route } } = this.#context;
    const needed = this.#tunnelChanges(tunnels);
    // One that goes may be in the way of one that comes.
    const isFirst = needed.some(({ does }) => does === "add");
    const late = isFirst ? [] : needed.filter(({ does }) => does === "remove");
    for (const change of needed) {
      if (!late.includes(change)) changeLink(route, change, changes);
    }
    return late;
  }

  #tunnelChanges(tunnels: readonly TunnelLink[]): LinkChange[] {
    const alias = tunnelAlias(this.#context.settings.name);
    return tunnelChanges(this.#tunnelLinks(), tunnels, alias);
  }

  async #differences(): Promise<Finding[]> {
    if (this.#asked === undefined) return [];
    const { self, members } = this.#asked;
    const { sockets: { route } } = this.#context;
    const facts = this.#facts(self);
    const planner = this.#plannerFor(facts);
    const links = this.#tunnelLinks();
    const parts = await this.#inTurns((function* () {
      yield* planner.update(members);
      const found = yield* findParts(route, links);
      const numbers = numbersOf(facts.underlay, links);
      const wanted = yield* partsOf(planner.shares, numbers);
      return yield* changesBetween(found, wanted);
    })());
    const { peers, tunnels } = planner;
    return findingsOf({
      isNoted: samePeers(peers, knownPeers(this.#context)),
      isTold: await hasPeers(this.#context, peers),
      links: this.#tunnelChanges(tunnels),
      parts,
    });
  }
}

function withAmiss(
  planned: Map<string, Part>,
  amiss: Known["amiss"],
): Parts {
  for (const [key, part] of amiss) {
    if (part === undefined) planned.delete(key);
    else planned.set(key, part);
  }
  return planned;
}

function numbersOf(
  { networks }: Underlay,
  tunnels: readonly Link[],
): LinkNumbers {
  return new Map([
    ...networks.map(({ link, index }) => [link, index] as const),
    ...tunnels.map(({ name, index }) => [name, index] as const),
  ]);
}

const TUNNELS: ReadonlySet<string> = new Set([tunnelName(4), tunnelName(6)]);

/**
 * A plan that follows its members: what one of them changes is found out by what that one says, and nobody else.
 *
 * @module
 */
import { NO_PEERS, type NodePeers, samePeers } from "../hostport/peers.ts";
import type { IpFamily } from "../net/ip.ts";
import { compareText } from "../text.ts";
import { Admission } from "./accept.ts";
import type { ClusterMember } from "./member.ts";
import { PathError } from "./path_error.ts";
import type {
  PathFacts,
  PathPlan,
  PathShare,
  TunnelLink,
} from "./path_plan.ts";
import { refusedShare, ShareMaker } from "./path_shares.ts";
import { isSameMember } from "./record.ts";
import type { Steps } from "../steps.ts";

/** Shares that are different now, as they were and as they are; what is in both is the same. */
export interface ShareChange {
  readonly before: readonly PathShare[];
  readonly now: readonly PathShare[];
}

const FAMILIES = [4, 6] as const;

/** The plan for members that come, change and go, as long as the facts are the same. */
export class PathPlanner {
  readonly #maker: ShareMaker;
  readonly #admission: Admission;
  readonly #self: string;
  #members: ReadonlyMap<string, ClusterMember> = new Map();
  readonly #shares = new Map<string, PathShare>();
  /** Those of members that are refused, wholly or in part. */
  readonly #refused = new Map<string, PathShare>();
  /** Members of a name that another one has. */
  #doubles: readonly PathError[] = [];
  #own: PathShare;
  #peers: NodePeers = NO_PEERS;
  /** How many members need what. */
  readonly #needs = { outers: { 4: 0, 6: 0 }, ofPods: { 4: 0, 6: 0 } };

  /** Of a node alone. */
  constructor(facts: PathFacts) {
    this.#maker = new ShareMaker(facts);
    this.#admission = new Admission(facts);
    this.#self = facts.self.name;
    this.#own = refusedShare();
  }

  /**
   * Goes on to other members. Should it not come to its end, the planner is of no use any more.
   *
   * @param members all of them, in any order
   * @param also members whose shares are given out though they may be the same
   */
  *update(
    members: Iterable<ClusterMember>,
    also: Iterable<string> = [],
  ): Steps<ShareChange> {
    const before: PathShare[] = [this.#own];
    const now: PathShare[] = [];
    const names = yield* this.#admission.update(yield* this.#compare(members));
    for (const name of new Set([...names, ...also])) {
      yield;
      const known = this.#shares.get(name);
      if (known !== undefined) {
        before.push(known);
        this.#count(known, -1);
      }
      const share = this.#shareOf(name);
      if (share !== undefined) {
        now.push(share);
        this.#count(share, 1);
        this.#shares.set(name, share);
      } else this.#shares.delete(name);
      if (share !== undefined && share.refused.length > 0) {
        this.#refused.set(name, share);
      } else this.#refused.delete(name);
    }
    this.#own = this.#maker.ownShare(this.#need);
    now.push(this.#own);
    this.#peers = this.#changedPeers(peersOf(before), peersOf(now));
    return { before, now };
  }

  /** All shares, the node's own among them. */
  get shares(): Iterable<PathShare> {
    return [this.#own, ...this.#shares.values()];
  }

  /** The node's tunnels. */
  get tunnels(): readonly TunnelLink[] {
    return this.#maker.tunnels(this.#need.outers);
  }

  /** For the rules of the node's table: another object only when something in it is another. */
  get peers(): NodePeers {
    return this.#peers;
  }

  /** As in a plan. */
  get refused(): readonly PathError[] {
    const refused = [...this.#refused.values()].flatMap((one) => one.refused);
    return sorted([...refused, ...this.#doubles], ({ member }) => member);
  }

  /** All of it. */
  get plan(): PathPlan {
    const shares = [...this.shares];
    const all = <T>(of: (share: PathShare) => readonly T[]) =>
      shares.flatMap(of);
    const wireguard = shares.flatMap((one) => one.wireguard ?? []);
    return {
      tunnels: this.tunnels,
      addresses: this.#own.addresses,
      ...this.#maker.wireguard(
        sorted(wireguard, ({ publicKey }) => publicKey),
      ),
      forwarding: sorted(
        all((one) => one.forwarding),
        ({ link, mac }) => link + mac,
      ),
      neighbours: sorted(
        all((one) => one.neighbours),
        ({ link, address }) => link + address,
      ),
      routes: sorted(
        all((one) => one.routes),
        ({ destination, ofPods = false }) => `${ofPods} ${destination}`,
      ),
      rules: this.#own.rules,
      peers: this.#peers,
      refused: this.refused,
    };
  }

  /** Takes members in, and tells which are others than before. Of those with one name the first counts. */
  *#compare(
    members: Iterable<ClusterMember>,
  ): Steps<ReadonlyMap<string, ClusterMember | undefined>> {
    const before = this.#members;
    const now = new Map<string, ClusterMember>();
    const changed = new Map<string, ClusterMember | undefined>();
    const doubles: PathError[] = [];
    for (const member of members) {
      yield;
      const { name } = member;
      if (name === this.#self) continue;
      if (now.has(name)) {
        const problem = "another member has its name";
        doubles.push(new PathError("Conflict", name, problem));
        continue;
      }
      now.set(name, member);
      const known = before.get(name);
      if (known === undefined || !isSameMember(known, member)) {
        changed.set(name, member);
      }
    }
    for (const name of before.keys()) {
      if (!now.has(name)) changed.set(name, undefined);
    }
    this.#members = now;
    this.#doubles = doubles;
    return changed;
  }

  #shareOf(name: string): PathShare | undefined {
    const peer = this.#admission.peer(name);
    if (peer !== undefined) return this.#maker.shareOf(peer);
    const refusal = this.#admission.refusal(name);
    return refusal && refusedShare(refusal);
  }

  #changedPeers(before: NodePeers, now: NodePeers): NodePeers {
    const known = this.#peers;
    const list = (field: "networks" | "tunnelSources" | "tunnelled") =>
      patched(known[field], before[field], now[field]);
    const peers = {
      networks: list("networks"),
      tunnelPorts: now.tunnelPorts,
      tunnelSources: list("tunnelSources"),
      tunnelled: list("tunnelled"),
    };
    return samePeers(peers, known) ? known : peers;
  }

  #count({ outer, peers: { tunnelled } }: PathShare, by: 1 | -1): void {
    const { outers, ofPods } = this.#needs;
    if (outer !== undefined) outers[outer] += by;
    for (const text of tunnelled) ofPods[text.includes(":") ? 6 : 4] += by;
  }

  get #need() {
    const { outers, ofPods } = this.#needs;
    const needed = (counts: Readonly<Record<IpFamily, number>>) =>
      new Set(FAMILIES.filter((family) => counts[family] > 0));
    return { outers: needed(outers), ofPods: needed(ofPods) };
  }
}

/** What shares tell the rules of the node's table, in no order. */
export function peersOf(shares: readonly PathShare[]): NodePeers {
  const all = <T>(of: (peers: NodePeers) => readonly T[]) =>
    shares.flatMap(({ peers }) => of(peers));
  return {
    networks: all((one) => one.networks),
    tunnelPorts: all((one) => one.tunnelPorts),
    tunnelSources: all((one) => one.tunnelSources),
    tunnelled: all((one) => one.tunnelled),
  };
}

/** A sorted list of texts without those that are not there any more, and with those that are there now. */
function patched(
  list: readonly string[],
  then: readonly string[],
  now: readonly string[],
): readonly string[] {
  const gone = new Set(then).difference(new Set(now));
  const come = new Set(now).difference(new Set(then));
  const kept = gone.size === 0 ? list : list.filter((one) => !gone.has(one));
  // The sort finds what is in order already.
  return come.size === 0 ? kept : [...kept, ...come].sort(compareText);
}

function sorted<T>(list: readonly T[], key: (one: T) => string): T[] {
  return list.map((one) => ({ one, by: key(one) }))
    .sort((a, b) => compareText(a.by, b.by)).map(({ one }) => one);
}

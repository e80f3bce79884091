/**
 * A node in its cluster, kept by this process.
 *
 * @module
 */
import { SandboxError } from "../errors.ts";
import { bootId } from "../sandbox/records/boot.ts";
import type { Node, NodeRemoval, NodeRemoveOptions } from "../sandbox/node.ts";
import { writeNodeLease } from "../sandbox/records/node_lease.ts";
import type { OwnEndpoint } from "./endpoint.ts";
import { type ClusterWatch, EventFeed } from "./events.ts";
import type { ClusterMember } from "./member.ts";
import { Membership } from "./membership.ts";
import type { ClusterNotes } from "./notes.ts";
import { type Pass, PathKeeper, type Paths } from "./path_keeper.ts";
import type { Place } from "./place.ts";
import { writeMember } from "./record.ts";
import type { RefusedMember } from "./roster.ts";
import type { ClusterSettings } from "./settings.ts";
import type { MembershipStatus } from "./state.ts";
import { type ClusterStore, isStoreError } from "./store.ts";

/** What a cluster is made of. */
export interface ClusterParts {
  /** Name of the cluster. */
  readonly cluster: string;
  readonly store: ClusterStore;
  readonly place: Place;
  readonly node: Node;
  readonly paths: Paths;
  readonly notes: ClusterNotes;
  /** What the node tells the others of itself now, and which MTU its pods must have. */
  endpoint(): OwnEndpoint;
}

/** Makes the handle, which takes over what was opened; for `joinCluster()`. */
export let newCluster: (
  parts: ClusterParts,
  opened: AsyncDisposableStack,
) => Promise<Cluster>;

/** Of refusals in the status: enough to see what it is about. */
const MAX_REFUSED = 100;

/**
 * A node that is kept in its cluster. Get one from `joinCluster()`.
 *
 * Disposing it stops keeping: pods, node and paths stay as they are, the place lasts for what is left of its lease, and
 * whoever joins with the same name again has it on. {@linkcode Cluster.leave} gives it back.
 */
export class Cluster implements AsyncDisposable {
  readonly #parts: ClusterParts;
  #opened = new AsyncDisposableStack();
  readonly #membership: Membership;
  readonly #keeper: PathKeeper;
  readonly #events = new EventFeed();
  /** What fits into every path, in bytes. */
  #podMtu: number;
  #failure: string | undefined;
  #leaving: Promise<readonly string[]> | undefined;

  private constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.#podMtu = parts.endpoint().podMtu;
    const { store, place, node, cluster } = parts;
    const lease = { directory: `${node.stateDir}/${node.name}` };
    this.#membership = new Membership(store, place, {
      onLease: ({ id }, endsAtMs, reason) =>
        writeNodeLease(lease, {
          cluster,
          id,
          endsAtMs: Number.isFinite(endsAtMs) ? endsAtMs : null,
          bootId: bootId(),
          ...reason !== undefined && { reason },
        }),
      onState: ({ state, reason }) => {
        this.#tell({
          type: "state",
          state,
          ...reason !== undefined && { reason },
        });
        this.#note();
      },
      onRoster: (isDoubtful) => this.#keeper.notice(isDoubtful),
    });
    this.#keeper = new PathKeeper({
      roster: this.#membership.roster,
      self: () => this.#membership.self,
      paths: parts.paths,
      onPass: (pass) => this.#passed(pass),
    });
  }

  static {
    newCluster = async (parts, opened) => {
      const cluster = new Cluster(parts);
      try {
        await cluster.#membership.start();
        // Whoever is there is reached when joining is done.
        const { failure } = await cluster.#keeper.pass();
        if (failure !== undefined) throw failure;
        cluster.#opened = opened.move();
        return cluster;
      } catch (error) {
        await cluster.#stop();
        throw isStoreError(error)
          ? new SandboxError("StoreUnreachable", {
            store: parts.store.description,
            reason: error.message,
          }, { cause: error })
          : error;
      }
    };
  }

  /** The open node. */
  get node(): Node {
    return this.#parts.node;
  }

  /** Name of the cluster. */
  get name(): string {
    return this.#parts.cluster;
  }

  /** What all nodes of the cluster agree on. */
  get settings(): ClusterSettings {
    return this.#parts.place.settings;
  }

  /** What the others see of this node. */
  get self(): ClusterMember {
    return this.#membership.self;
  }

  /** Who else is there, by name, as far as paths follow it. */
  get members(): readonly ClusterMember[] {
    return this.#keeper.members.filter(({ name }) => name !== this.self.name);
  }

  /** Records of the store that are ignored, and nodes that cannot be reached, or not wholly; this one among them. */
  get refused(): readonly RefusedMember[] {
    const { node: { name, mtu }, place: { lease } } = this.#parts;
    const podMtu = this.#podMtu;
    const { addresses } = this.self;
    const { addresses: given } =
      this.#keeper.members.find((one) => one.name === name) ?? this.self;
    // A store with leases is told them by the node.
    const isOther = lease.ttlMs === Infinity &&
      String(given) !== String(addresses);
    return [
      ...mtu <= podMtu ? [] : [{
        name,
        reason:
          `its pods have an MTU of ${mtu} bytes, and not more than ${podMtu} fit into every path: larger packets are lost or sent twice, until it is taken down and joins again`,
      }],
      ...isOther
        ? [{
          name,
          reason: `the others reach it by ${
            given.join(" and ")
          } by now, and it goes by ${
            addresses.join(" and ")
          }: let it join again`,
        }]
        : [],
      ...this.#keeper.refused,
    ];
  }

  /** How the node stands. */
  get status(): MembershipStatus {
    return this.#membership.status;
  }

  /** Tells of others as they come and go, and of how the node stands. */
  watch(): ClusterWatch {
    return this.#events.watch();
  }

  /**
   * Takes the node down and gives its place back: others may have its pod networks then. Once it has left,
   * leaving again does nothing and returns the same.
   *
   * @returns what it took away, in plain words
   * @throws {SandboxError} `NodeConflict` while the node has sandboxes, unless forced; `NodeClosed`; `StoreUnreachable` when the place
   * could not be given back: then it ends by itself, and the networks stay reserved for this node
   */
  leave(options: NodeRemoveOptions = {}): Promise<readonly string[]> {
    return this.#leaving ??= this.#leave(options).catch((error) => {
      this.#leaving = undefined;
      throw error;
    });
  }

  async #leave(options: NodeRemoveOptions): Promise<readonly string[]> {
    const { node, notes, store } = this.#parts;
    if (this.#opened.disposed) {
      throw new SandboxError("NodeClosed", { name: node.name });
    }
    await this.#keeper.stop();
    let removal: NodeRemoval;
    try {
      removal = await node.remove(options);
    } catch (error) {
      this.#keeper.resume();
      throw error;
    }
    await this.#stop();
    notes.remove();
    const { lease, self } = this.#membership;
    try {
      await store.release(lease, self);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      throw new SandboxError("StoreUnreachable", {
        store: store.description,
        reason: error.message,
      }, { cause: error });
    } finally {
      await this.#opened[Symbol.asyncDispose]();
    }
    return removal.removed;
  }

  /** Stops keeping the node in the cluster; all stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#stop();
    } finally {
      await this.#opened[Symbol.asyncDispose]();
    }
  }

  async #stop(): Promise<void> {
    await using others = new AsyncDisposableStack();
    others.use(this.#events);
    others.use(this.#membership);
    await this.#keeper.stop();
  }

  #passed(pass: Pass): void {
    const failure = pass.failure instanceof Error
      ? pass.failure.message
      : pass.failure;
    this.#failure = failure === undefined ? undefined : String(failure);
    const { joined, changed, left, refused, changes } = pass;
    for (const member of joined) this.#tell({ type: "joined", member });
    for (const member of changed) this.#tell({ type: "changed", member });
    for (const name of left) this.#tell({ type: "departed", name });
    for (const one of refused) this.#tell({ type: "refused", ...one });
    if (changes.length > 0) this.#tell({ type: "paths", changes });
    if (this.#failure !== undefined) {
      this.#tell({ type: "failed", reason: this.#failure });
    }
    if (joined.length + changed.length + left.length > 0) this.#noteMembers();
    this.#attempt(() => this.#refresh());
    this.#note();
  }

  /** The node may have other addresses by now, and its links another MTU. */
  #refresh(): void {
    const { podMtu, ...endpoint } = this.#parts.endpoint();
    // Not while there is none: the link may be coming up again.
    if (endpoint.addresses.length === 0) return;
    this.#podMtu = podMtu;
    const { name, podCidrs } = this.self;
    const self = { name, podCidrs, ...endpoint };
    if (writeMember(self) !== writeMember(this.self)) {
      this.#membership.update(self);
    }
  }

  #noteMembers(): void {
    this.#attempt(() => this.#parts.notes.writeMembers(this.members));
  }

  #note(): void {
    const { cluster, store, place, notes } = this.#parts;
    const { self } = this;
    const { leaseRemainingMs: _, ...status } = this.status;
    this.#attempt(() =>
      notes.writeStatus({
        node: self.name,
        cluster,
        store: store.description,
        ...status,
        self,
        settings: place.settings,
        others: this.members.length,
        refused: this.refused.slice(0, MAX_REFUSED),
        ...this.#failure !== undefined && { failure: this.#failure },
      })
    );
  }

  /** Notes are for people: what cannot be noted is told, and no reason to stop. */
  #attempt(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#tell({ type: "failed", reason: String(error) });
    }
  }

  #tell(event: Untimed<Parameters<EventFeed["tell"]>[0]>): void {
    this.#events.tell({ ...event, time: new Date().toISOString() });
  }
}

type Untimed<T> = T extends unknown ? Omit<T, "time"> : never;

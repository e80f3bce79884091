/**
 * A node: the namespace that pods hang on, and all that is done to it. What a program that makes a pod and ends has no use
 * for is loaded when it is asked for.
 *
 * @module
 */
import { isSandboxError, SandboxError } from "../errors.ts";
import type { InstalledPlugin } from "../cni/runtime/chain.ts";
import type { NetworkSpec } from "../spec/network_spec.ts";
import type { SandboxSpec } from "../spec/sandbox_spec.ts";
import { compareText } from "../text.ts";
import { removeBaseline } from "./node/baseline.ts";
import type { NodeContext } from "./node/context.ts";
import { createSandbox } from "./pod/create.ts";
import { describeSandbox, type SandboxSummary } from "./pod/description.ts";
import type { Finding, Repair } from "./node/finding.ts";
import { countFree } from "./node/free_addresses.ts";
import type { Garbage, GarbageOptions } from "./garbage/garbage.ts";
import type {
  NetworkGarbage,
  NetworkGarbageOptions,
} from "./networks/network_garbage.ts";
import type { NodeWatch } from "./node/node_event.ts";
import { lockUnlessGone } from "./records/node_lock.ts";
import { refuseStaleNode } from "./node/node_settings.ts";
import { Pacer } from "./node/pacer.ts";
import { explained } from "./node/permission.ts";
import {
  removeLost,
  type RemoveOptions,
  removeSandbox,
  removeSandboxes,
} from "./pod/remove.ts";
import { removeWarmLinks } from "./pod/warm_links.ts";
import { possibleIds, resolveSandbox } from "./pod/resolve.ts";
import { newSandbox, type Sandbox } from "./sandbox.ts";
import { watchNode, type WatchOptions } from "./watch/watch.ts";

/** Namespaces with links that a handle of a node keeps ready. */
export interface WarmNamespaces {
  /** How many there should be. */
  readonly size: number;
  /** How many there are: fewer right after creations, and while the program is busy. */
  readonly ready: number;
  /** What went wrong when one was made the last time, such as a limit that was reached. */
  readonly problem?: unknown;
}

/** Which sandbox a name means. */
export interface SandboxReference {
  /**
   * The namespace of the name.
   * @default "default"
   */
  readonly namespace?: string;
}

/** What taking a node down took away. */
export interface NodeRemoval {
  /** In plain words, one object each. */
  readonly removed: readonly string[];
}

/** What taking a node down may do. */
export interface NodeRemoveOptions {
  /**
   * Remove its sandboxes too, attached containers or not.
   * @default false
   */
  readonly force?: boolean;
}

/** How often sandboxes are removed that others make meanwhile. */
const REMOVE_ATTEMPTS = 10;

/** Makes the handle; for `openNode()`, so that the constructor, and with it what a node is inside, stays private. */
export let newNode: (
  context: NodeContext,
  changes: readonly string[],
  opened: DisposableStack,
) => Node;

/** What an open node is inside; for those who build on it within podnet. */
export let contextOf: (node: Node) => NodeContext;

/**
 * An open node. Get one from `openNode()`.
 *
 * Disposing it closes this process's sockets. Node and pods stay; {@linkcode Node.remove} takes the node down. What is asked
 * of it afterwards, or of its sandboxes, fails with `NodeClosed`, and so does what has not come to its end by then, watches
 * among it; what is known without asking stays, and so do a pod's sockets, processes and workers.
 */
export class Node implements AsyncDisposable {
  readonly #context: NodeContext;
  readonly #opened: DisposableStack;
  /** What opening it changed on the node, in plain words; empty when all was in place. */
  readonly changes: readonly string[];

  private constructor(
    context: NodeContext,
    changes: readonly string[],
    opened: DisposableStack,
  ) {
    this.#context = context;
    this.changes = changes;
    this.#opened = opened;
  }

  static {
    newNode = (...args) => new Node(...args);
    contextOf = (node) => node.#context;
  }

  /** Unique in the state directory. */
  get name(): string {
    return this.#context.settings.name;
  }

  /** The directory of records and pins. */
  get stateDir(): string {
    return this.#context.state.stateDir;
  }

  /** The network namespace that the node is, as `net:[inode]`. */
  get netnsId(): string {
    return this.#context.namespace.id;
  }

  /** Where pods' addresses come from, in the order of pods' addresses. */
  get podCidrs(): readonly string[] {
    return this.#context.settings.podCidrs;
  }

  /** The node's own address in each pod CIDR: pods' gateway, and source of what the node sends to pods. */
  get gateways(): readonly string[] {
    return this.#context.pools.map(({ gateway }) => String(gateway));
  }

  /**
   * How many addresses of each pod CIDR are free now, in the order of {@linkcode Node.podCidrs}: what the kernel has no route
   * for.
   *
   * @throws {SandboxError} `NodeClosed`
   */
  freeAddresses(): readonly bigint[] {
    this.#context.state.refuseClosed();
    return this.#context.pools.map((pool) => countFree(this.#context, pool));
  }

  /** MTU of pods in bytes, unless their spec says otherwise. */
  get mtu(): number {
    return this.#context.settings.mtu;
  }

  /** Whether pods reach the outside world by the node's address. */
  get masquerade(): boolean {
    return this.#context.settings.masquerade;
  }

  /** Networks besides the pod CIDRs that pods reach by their own addresses. */
  get nonMasqueradeCidrs(): readonly string[] {
    return this.#context.settings.nonMasqueradeCidrs;
  }

  /** How many connections a pod may have opened at a time; 0 for no limit. */
  get maxConnectionsPerPod(): number {
    return this.#context.settings.maxConnectionsPerPod;
  }

  /** The namespaces that this handle keeps ready; see `NodeOptions.warm`. */
  get warm(): WarmNamespaces {
    const { size = 0, ready = 0, problem } = this.#context.warm ?? {};
    return { size, ready, ...problem === undefined ? {} : { problem } };
  }

  /**
   * Makes a sandbox that is complete when this resolves: its first packet gets through. One that exists with the same
   * spec is returned as it is.
   *
   * @throws {SandboxError} `InvalidSpec` with every problem; `SandboxConflict` when it exists with another spec, or `netns`
   * leads to another namespace by now; `InvalidNamespace` when `netns` leads to none that can be the pod's; `AddressInUse`,
   * `AddressPoolExhausted`, `HostPortInUse`, `HostAddressUnknown`; `LeaseEnded` on a node whose pod CIDRs may be another's
   * by now; the node is then as it was
   */
  async createSandbox(spec: SandboxSpec): Promise<Sandbox> {
    return newSandbox(this.#context, await createSandbox(this.#context, spec));
  }

  /**
   * Finds a sandbox by id or name. Of several of one name it is the one without an id of its own.
   *
   * @throws {SandboxError} `SandboxNotFound`; `RecordInvalid` when its record is damaged; `InvalidSpec` when several of the
   * namespace have the name, and all of them an id of their own
   */
  async openSandbox(
    idOrName: string,
    reference: SandboxReference = {},
  ): Promise<Sandbox> {
    const { state } = this.#context;
    state.refuseClosed();
    const { namespace } = reference;
    const named = resolveSandbox(this.#context, idOrName, namespace);
    const id = named instanceof Promise ? await named : named;
    const record = id === undefined ? undefined : state.readSandbox(id);
    if (record?.state !== "ready") {
      throw new SandboxError("SandboxNotFound", {
        name: idOrName,
        ...reference,
      });
    }
    return newSandbox(this.#context, record);
  }

  /** All sandboxes, by namespace and name; those whose record cannot be read come first. */
  async listSandboxes(): Promise<SandboxSummary[]> {
    this.#context.state.refuseClosed();
    const { state } = this.#context;
    const pacer = new Pacer();
    const found: SandboxSummary[] = [];
    for (const id of state.sandboxIds()) {
      await pacer.pause();
      try {
        const record = state.readSandbox(id);
        if (record === undefined) continue;
        const sandbox = describeSandbox(this.#context, record);
        found.push({ ...sandbox, state: record.state });
      } catch (error) {
        if (!isSandboxError(error, "RecordInvalid")) throw error;
        found.push({ id, state: "damaged", reason: error.message });
      }
    }
    return found.sort((a, b) =>
      compareText(a.namespace ?? "", b.namespace ?? "") ||
      compareText(a.name ?? "", b.name ?? "") || compareText(a.id, b.id)
    );
  }

  /**
   * Removes a sandbox by id or name, found as by {@linkcode Node.openSandbox}, whatever is left of it: its record, link or
   * namespace may be gone.
   *
   * @returns false when there was nothing
   * @throws {SandboxError} `SandboxInUse` while containers are attached, `DeviceLost` when a link of the node cannot be given
   * back, `RecordInvalid`; none of them when forced. `InvalidSpec` when several of the namespace have the name, and all of them an id of their own
   */
  async removeSandbox(
    idOrName: string,
    options: SandboxReference & RemoveOptions = {},
  ): Promise<boolean> {
    const { namespace } = options;
    const named = resolveSandbox(this.#context, idOrName, namespace);
    const id = named instanceof Promise ? await named : named;
    if (id !== undefined) {
      return await removeSandbox(this.#context, id, options);
    }
    const ids = possibleIds(idOrName, namespace);
    return await explained(
      this.#context.state,
      () => removeLost(this.#context, ids, options),
    );
  }

  /** Compares node and sandboxes with the kernel; an empty list means that all is as it should be. */
  check(): Promise<Finding[]> {
    return explained(this.#context.state, async () => {
      const { checkNode } = await import("./upkeep.ts");
      return await checkNode(this.#context);
    });
  }

  /**
   * Mends what {@linkcode Node.check} finds, as far as it can be mended, and tells what is mended and what is not.
   * Connections survive it.
   */
  repair(): Promise<Repair> {
    return explained(this.#context.state, async () => {
      const { repairNode } = await import("./upkeep.ts");
      return await repairNode(this.#context);
    });
  }

  /** Removes what has no living owner; see {@linkcode GarbageOptions}. */
  collectGarbage(options?: GarbageOptions): Promise<Garbage[]> {
    return explained(this.#context.state, async () => {
      const { collectGarbage } = await import("./upkeep.ts");
      return await collectGarbage(this.#context, options);
    });
  }

  /**
   * Whether the plugins of a network are there, know its version, and say themselves that they are ready (VERSION,
   * STATUS). Needs `--allow-run`.
   *
   * @throws {CniPluginError} of the first that is not ready
   * @throws {CniError} when one does not know the version
   * @throws {SandboxError} `InvalidSpec`
   */
  networkStatus(network: NetworkSpec): Promise<InstalledPlugin[]> {
    return explained(this.#context.state, async () => {
      const { statusOf } = await import("./upkeep.ts");
      return await statusOf(this.#context, network);
    });
  }

  /**
   * Deletes attachments to a network whose sandbox is no more, and has the plugins remove what belongs to none (GC).
   * Attachments of other runtimes that are noted in the same directory are left alone. One that never came to be is deleted
   * as the network is now when its plugins refuse what is noted. Needs `--allow-run`.
   *
   * @throws {SandboxError} `InvalidSpec`, `Timeout`, `StateUnusable`, `RecordInvalid`
   */
  collectNetworkGarbage(
    network: NetworkSpec,
    options?: NetworkGarbageOptions,
  ): Promise<NetworkGarbage> {
    return explained(this.#context.state, async () => {
      const { collectNetworkGarbage } = await import("./upkeep.ts");
      return await collectNetworkGarbage(this.#context, network, options);
    });
  }

  /**
   * Tells of sandboxes' links as they come and go, whoever makes them; with `repair` also mends what somebody undoes.
   *
   * @throws {SandboxError} `NodeClosed`
   * @throws {RangeError} when `pollMs` is no time
   */
  watch(options?: WatchOptions): NodeWatch {
    this.#context.state.refuseClosed();
    return watchNode(this.#context, options);
  }

  /**
   * Takes the node down.
   *
   * @throws {SandboxError} `NodeConflict` while it has sandboxes, unless forced
   */
  remove(options: NodeRemoveOptions = {}): Promise<NodeRemoval> {
    return explained(this.#context.state, () => this.#remove(options));
  }

  async #remove(options: NodeRemoveOptions): Promise<NodeRemoval> {
    const { state, sockets, table } = this.#context;
    const removed: string[] = [];
    const { removeBridges, removePathParts } = await import("./upkeep.ts");
    for (let attempt = 1;; attempt++) {
      const ids = state.sandboxIds();
      if (ids.length > 0 && !options.force) throw this.#inUse(ids.length);
      await removeSandboxes(this.#context, ids);
      removed.push(...ids.map((id) => `sandbox ${id}`));
      if (!state.exists()) return { removed };
      using lock = await lockUnlessGone(state, "exclusive");
      // Others were faster; the lock may be that of somebody who is about to set it up anew.
      if (lock === undefined || !state.exists()) return { removed };
      refuseStaleNode(this.#context);
      const late = state.sandboxIds().length;
      if (late === 0) {
        // There is nothing any more that they could be for.
        this.#context.warm?.[Symbol.dispose]();
        removeWarmLinks(this.#context);
        removed.push(
          ...removePathParts(sockets.route, this.name),
          ...removeBridges(sockets.route),
          ...removeBaseline(sockets, table),
        );
        state.removeNode();
        return { removed };
      }
      if (!options.force || attempt === REMOVE_ATTEMPTS) {
        throw this.#inUse(late);
      }
    }
  }

  /** Ends what removals left to be done, and closes this process's sockets. Node and pods stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#context.late?.[Symbol.asyncDispose]();
    } finally {
      this.#opened.dispose();
    }
  }

  #inUse(count: number): SandboxError {
    return new SandboxError("NodeConflict", {
      name: this.name,
      reason: `it has ${count} ${
        count === 1 ? "sandbox" : "sandboxes"
      }: remove them first, or take it down with force`,
    });
  }
}

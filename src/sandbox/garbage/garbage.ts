/**
 * Finds what has no living owner, from both sides: notes without a sandbox, and parts in the kernel without a note.
 *
 * Everything of ours leads back to a sandbox id, and each id is looked at again under its own lock, so what another
 * process is making at that moment is never touched. A sandbox that somebody is at work on for longer, such as a process
 * that was stopped in the middle, is left for the next time.
 *
 * @module
 */
import { isSandboxError } from "../../errors.ts";
import { isEmpty } from "../../state/directory.ts";
import { sweepBridges } from "../node/bridges.ts";
import type { NodeContext } from "../node/context.ts";
import {
  BUSY_MS,
  faultOf,
  releaseGarbage,
  SETTLE_MS,
  SETTLE_STEP_MS,
} from "./garbage_faults.ts";
import { removeTemporaryFiles, temporaryFiles } from "./garbage_files.ts";
import { deleteFlowsOf, strayFlows } from "./garbage_flows.ts";
import {
  foreignBaseline,
  isStray,
  settledStrays,
  type Stray,
} from "./garbage_kernel.ts";
import { refuseStaleNode } from "../node/node_settings.ts";
import { isId } from "../records/identity.ts";
import { hasNetworks } from "../records/network_notes.ts";
import { refuseForeignTable } from "../node/node_table.ts";
import { Pacer } from "../node/pacer.ts";
import { deletePodLinks, type PodLinkInfo } from "../node/pod_links.ts";
import type { SandboxRecord } from "../records/records.ts";
import { lockNewSandbox } from "../records/new_sandbox_lock.ts";
import { removeWarmDirectories } from "../records/warm_directory.ts";
import { removeRemains } from "../pod/remains.ts";

/** What garbage may be. */
export type GarbageKind =
  /** A sandbox that is not whole: its creation was cut short, or its namespace or link is gone. */
  | "sandbox"
  /** A sandbox whose record cannot be read. */
  | "record"
  /** A namespace that is kept in the state directory without a record. */
  | "pin"
  /** A file that a process left when it was killed while it wrote. */
  | "file"
  /** Parts in the kernel that no record tells of. */
  | "link"
  | "route"
  | "neighbour"
  | "element"
  /** A gateway address of lo for a pod CIDR that the node does not have. */
  | "address"
  /** Connections of an address that no sandbox has. */
  | "conntrack";

/** Something without an owner. */
export interface Garbage {
  /** What it is. */
  readonly kind: GarbageKind;
  /** Id of the sandbox that it belonged to; of what belonged to none its path, address, network or name. */
  readonly id: string;
  /** In plain words. */
  readonly reason: string;
  /** False in a dry run, and for a damaged record unless forced. */
  readonly removed: boolean;
}

/** What to collect. */
export interface GarbageOptions {
  /**
   * Tell, but touch nothing.
   * @default false
   */
  readonly dryRun?: boolean;
  /**
   * Also sandboxes whose record cannot be read: the record is moved to `<stateDir>/<node>/damaged`, never deleted.
   * @default false
   */
  readonly force?: boolean;
}

/**
 * Collects garbage; see {@linkcode GarbageOptions}. A dry run tells what the next run would remove.
 *
 * @throws {SandboxError} `NodeNotFound`, `NodeConflict` when the node was set up anew since it was opened, or its
 * namespace is another node's
 */
export async function collectGarbage(
  context: NodeContext,
  options: GarbageOptions = {},
): Promise<Garbage[]> {
  refuseStaleNode(context);
  const files = await releaseGarbage(context, options);
  const found: Garbage[] = [];
  {
    using _node = await context.state.lock("shared");
    refuseStaleNode(context);
    refuseForeignTable(context);
    if (!options.dryRun) context.state.removed.finishAll();
    found.push(...await new Collection(context, options).run(files));
  }
  const { dryRun = false } = options;
  // With the node alone: nobody is making a port of one meanwhile.
  for (const name of await sweepBridges(context, undefined, { dryRun })) {
    const reason = `bridge ${name} has no ports`;
    found.push({ kind: "link", id: name, reason, removed: !dryRun });
  }
  return found;
}

/** One run. */
class Collection {
  readonly #context: NodeContext;
  readonly #force: boolean;
  readonly #dryRun: boolean;
  readonly #garbage: Garbage[] = [];
  /** Ids that are garbage as a whole: what the kernel has of them needs no line of its own. */
  readonly #wholly = new Set<string>();
  /** Ids that are left alone: somebody is at work on them, or their record is damaged. */
  readonly #leftAlone = new Set<string>();
  /** Addresses of what is told of already: their connections need no line of their own. */
  readonly #addresses = new Set<string>();
  /** Links without an owner: numbers are never given twice, so no lock is needed to delete them. */
  readonly #links: Pick<PodLinkInfo, "index">[] = [];
  /** Until when namespaces that lost their pin may go. */
  readonly #deadline = performance.now() + SETTLE_MS;

  constructor(context: NodeContext, options: GarbageOptions) {
    this.#context = context;
    this.#force = options.force ?? false;
    this.#dryRun = options.dryRun ?? false;
  }

  /** @param files that were left while somebody wrote what a sandbox is attached to */
  async run(files: readonly string[]): Promise<Garbage[]> {
    const { state } = this.#context;
    const pacer = new Pacer();
    for (const id of state.sandboxIds()) {
      await pacer.pause();
      await this.#awaitMaker(id);
      await this.#locked(id, () => this.#judge(id));
    }
    const strays = await settledStrays(this.#context, this.#leftAlone);
    for (const [id, found] of Map.groupBy(strays, (stray) => stray.id)) {
      const take = () => this.#takeStrays(id, found);
      // What bears something else than an id is nobody's who could be at work on it, and must not become a path.
      if (!isId(id)) take();
      else await this.#locked(id, take, { make: !this.#dryRun });
    }
    deletePodLinks(this.#context.sockets.route, this.#links);
    for (const { kind, of, object, remove } of foreignBaseline(this.#context)) {
      this.#tell(
        kind,
        String(of),
        `${object} is of a pod CIDR that the node does not have`,
      );
      if (!this.#dryRun) remove();
    }
    await this.#takeFlows();
    for (const path of [...files, ...temporaryFiles(state)]) {
      this.#tell("file", path, "a process was killed while it wrote it");
    }
    if (!this.#dryRun) removeTemporaryFiles(state);
    const warm = { dryRun: this.#dryRun };
    for (const path of removeWarmDirectories(state.warmDirectory, warm)) {
      this.#tell("pin", path, "the process that made it ahead is dead");
    }
    return this.#garbage;
  }

  /**
   * Whose directory is empty is being made, for the directory is the lock: between its making and its locking there is
   * nothing to tell its maker from a dead one, but time.
   */
  async #awaitMaker(id: string): Promise<void> {
    const directory = this.#context.state.sandboxDirectory(id);
    const deadline = performance.now() + SETTLE_MS;
    while (isEmpty(directory) && performance.now() < deadline) {
      await new Promise((wake) => setTimeout(wake, SETTLE_STEP_MS));
    }
  }

  /** Runs what looks at a sandbox while nobody else is at work on it; not at all when that does not come soon. */
  async #locked(
    id: string,
    look: () => void | Promise<void>,
    { make = false }: { readonly make?: boolean } = {},
  ): Promise<void> {
    const { state } = this.#context;
    const timeoutMs = BUSY_MS;
    let lock: Disposable | undefined;
    try {
      lock = make
        ? await lockNewSandbox(state.sandboxDirectory(id), { timeoutMs })
        : await state.lockSandbox(id, { timeoutMs });
    } catch (error) {
      if (!isSandboxError(error, "Timeout")) throw error;
      this.#leftAlone.add(id);
      return;
    }
    using _lock = lock;
    await look();
  }

  #tell(kind: GarbageKind, id: string, reason: string, removed = true): void {
    this.#garbage.push({ kind, id, reason, removed: removed && !this.#dryRun });
  }

  async #judge(id: string): Promise<void> {
    const { state } = this.#context;
    if (!state.hasSandbox(id)) return; // removed by now
    let record: SandboxRecord | undefined;
    try {
      record = state.readSandbox(id);
    } catch (error) {
      if (!isSandboxError(error, "RecordInvalid")) throw error;
      this.#tell("record", id, error.message, this.#force);
      if (!this.#force) {
        this.#leftAlone.add(id);
        return;
      }
      this.#wholly.add(id);
      if (!this.#dryRun) {
        state.setAsideRecord(id);
        this.#remove(id, undefined);
      }
      return;
    }
    const fault = await faultOf(this.#context, id, record, this.#deadline);
    if (fault === undefined) {
      this.#takeFilesOf(id);
      return;
    }
    const { kind, reason } = fault;
    if (!this.#dryRun && hasNetworks(state, id)) {
      const why = "plugins do not take away what they made of it";
      this.#tell(kind, id, `${reason}, and ${why}`, false);
      this.#leftAlone.add(id);
      return;
    }
    this.#tell(kind, id, reason);
    this.#wholly.add(id);
    for (const address of record?.addresses ?? []) this.#addresses.add(address);
    if (!this.#dryRun) this.#remove(id, record);
  }

  #remove(id: string, record: SandboxRecord | undefined): void {
    removeRemains(this.#context, id, record);
    this.#context.state.removeSandbox(id);
  }

  #takeFilesOf(id: string): void {
    const { state } = this.#context;
    for (const path of temporaryFiles(state, id)) {
      this.#tell("file", path, "a process was killed while it wrote it");
    }
    if (!this.#dryRun) removeTemporaryFiles(state, id);
  }

  /** Under the lock it shows which of them are still without an owner. */
  #takeStrays(id: string, found: readonly Stray[]): void {
    const { state } = this.#context;
    const strays = found.filter((stray) => isStray(this.#context, stray));
    for (const { addresses } of strays) {
      for (const address of addresses) this.#addresses.add(String(address));
    }
    // Of one kind there may be many, which are told of together.
    for (const [kind, [first, ...more]] of Map.groupBy(strays, (s) => s.kind)) {
      if (first === undefined || this.#wholly.has(id)) continue;
      this.#tell(
        kind,
        id,
        more.length === 0
          ? `${first.object} belongs to no sandbox`
          : `${first.object} and ${more.length} more belong to no sandbox`,
      );
    }
    if (this.#dryRun) return;
    for (const { remove, link } of strays) {
      remove?.();
      if (link !== undefined) this.#links.push(link);
    }
    if (isId(id) && state.readableSandbox(id) === undefined) {
      state.removeSandbox(id);
    }
  }

  async #takeFlows(): Promise<void> {
    const dead = strayFlows(this.#context, this.#wholly);
    for (const address of dead.keys()) {
      if (this.#addresses.has(address)) continue;
      this.#tell(
        "conntrack",
        address,
        `connections of ${address} are tracked, which no sandbox has`,
      );
    }
    if (!this.#dryRun) await deleteFlowsOf(this.#context, dead);
  }
}

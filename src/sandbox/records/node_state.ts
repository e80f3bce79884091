/**
 * Where a node keeps its notes:
 *
 * ```text
 * <stateDir>/<node>/node.cbor               the node's settings
 *                   peers/                  what it knows of other nodes; the directory is the lock of those who change it
 *                   lock                    shared by those who work on sandboxes, exclusive for the node itself
 *                   sandboxes/<id>/         the directory is the sandbox's lock
 *                                 record.cbor  netns  resolv.conf  hosts
 *                                 creating.cbor instead of the record of one that is being made
 *                   warm/<pool>/<one>/      what sandboxes will have, made ahead; each process locks its pool
 *                                     netns  resolv.conf  hosts  creating.cbor
 *                   removed/<link>/         a sandbox that is removed, and has still to go: see removed.ts
 *                   damaged/                records that could not be read
 * ```
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import { rename } from "../../../ffi/file.ts";
import { isSandboxError, SandboxError } from "../../errors.ts";
import { isId } from "./identity.ts";
import {
  makeMountShared,
  shareMounts,
  unshareMounts,
} from "../../namespace/pin.ts";
import {
  directoriesIn,
  present,
  removeDirectory,
  removeWith,
} from "../../state/directory.ts";
import { Reserve } from "../../state/reserve.ts";
import { SharedLock } from "../../state/shared_lock.ts";
import {
  acquireFairLock,
  acquireLock,
  type LockMode,
  type LockOptions,
  makeLock,
} from "../../state/lock.ts";
import {
  ensurePrivateDirectory,
  readRecord,
  removeFile,
  removeIfEmpty,
  unusable,
  writeRecord,
} from "../../state/store.ts";
import { versionOf } from "../../state/version.ts";
import { type NodeRecord, nodeRecord, type SandboxRecord } from "./records.ts";
import { DNS_FILES } from "./dns.ts";
import { RECORD_FILES, SandboxRecords } from "./sandbox_records.ts";
import { PeersFile } from "./peers_file.ts";
import { RemovedSandboxes } from "./removed.ts";
import { orIgnore } from "./undo.ts";
import { PIN } from "./pinned_directory.ts";
import { removeWarmDirectories } from "./warm_directory.ts";

const SETTINGS = "node.cbor";
const LOCK = "lock";

/** The files of one node. */
export class NodeState {
  readonly stateDir: string;
  /** Of the node. */
  readonly name: string;
  /** `<stateDir>/<node>`. */
  readonly directory: string;
  /** `<stateDir>/<node>/sandboxes`. */
  readonly sandboxesDirectory: string;
  /** What it knows of other nodes. */
  readonly peers: PeersFile;
  readonly removed: RemovedSandboxes;
  readonly #record: string;
  readonly #lock: string;
  readonly #damaged: string;
  /** What was read last, and of which version of the file. */
  #read: { readonly version: string; readonly record: NodeRecord } | undefined;
  /** Which file {@linkcode NodeState.isStill} found to have the settings. */
  #compared: string | undefined;
  /** For undoing. */
  readonly reserve = new Reserve();
  /** Of the sandboxes. */
  readonly records: SandboxRecords = new SandboxRecords((id) =>
    this.sandboxDirectory(id)
  );
  #kept: SharedLock | undefined;
  /** The id whose directory was asked for last. */
  #asked: string | undefined;
  #answer = "";
  /** Directories made by this object, parents first. */
  readonly #made: string[] = [];
  /** Whether it holds the lock of a node that may come to nothing. */
  #isUndecided = false;
  readonly #closing = new AbortController();
  /** Aborted when what was kept open is closed, with `NodeClosed` as its reason. */
  readonly closed: AbortSignal = this.#closing.signal;
  #nodeClosed = () => new SandboxError("NodeClosed", { name: this.name });

  constructor(stateDir: string, name: string) {
    this.stateDir = stateDir;
    this.name = name;
    this.directory = `${stateDir}/${name}`;
    this.#record = `${this.directory}/${SETTINGS}`;
    this.#lock = `${this.directory}/${LOCK}`;
    this.sandboxesDirectory = `${this.directory}/sandboxes`;
    this.#damaged = `${this.directory}/damaged`;
    this.peers = new PeersFile(`${this.directory}/peers`);
    this.removed = new RemovedSandboxes(`${this.directory}/removed`);
  }

  /** Whether the node was ever opened. */
  exists(): boolean {
    return present(this.#record);
  }

  /**
   * The settings, or undefined for a node that was never opened. They are read again only when the file has changed: while a
   * node is opened they are asked for three times, and it takes 0.2 ms to read them for the first time.
   *
   * @throws {SandboxError} `RecordInvalid`
   */
  readNode(): NodeRecord | undefined {
    const path = this.#record;
    // Asked before: of a file that is replaced meanwhile it is the version that there was, and the new one will be read again.
    const version = versionOf(path);
    if (version === undefined) return undefined;
    if (version === this.#read?.version) return this.#read.record;
    const record = readRecord(nodeRecord, path);
    if (record !== undefined && record.name !== this.name) {
      const reason = `is that of node ${record.name}`;
      throw new SandboxError("RecordInvalid", { path, reason });
    }
    this.#read = record && { version, record };
    return record;
  }

  /**
   * Whether the settings are these; undefined when there are none. They are read only when the file has changed since they
   * were: asked before each creation, this costs 2 µs instead of 40.
   *
   * @throws {SandboxError} `RecordInvalid`
   */
  isStill(settings: NodeRecord): boolean | undefined {
    const version = this.versionOf(SETTINGS);
    if (version === undefined) return undefined;
    if (version === this.#compared) return true;
    const known = this.readNode();
    if (known === undefined) return undefined;
    if (JSON.stringify(known) !== JSON.stringify(settings)) return false;
    this.#compared = version;
    return true;
  }

  /** Tells one state of a file in the node's directory from the others. */
  versionOf(name: string): string | undefined {
    return this.#kept === undefined
      ? versionOf(`${this.directory}/${name}`)
      : this.#kept.versionOf(name);
  }

  /**
   * Keeps open what every operation on a sandbox needs: the files of the node's lock, and a descriptor in reserve. For the
   * owner of the node's sockets, who disposes of it.
   *
   * @throws {SyscallError}
   */
  keepOpen(): Disposable {
    using opened = new DisposableStack();
    this.#kept = opened.use(SharedLock.open(this.directory, LOCK));
    opened.use(this.reserve).fill();
    opened.use(this.records.keepOpen());
    opened.defer(() => this.#closing.abort(this.#nodeClosed()));
    return opened.move();
  }

  /** @throws {SandboxError} `NodeClosed` */
  refuseClosed(): void {
    if (this.closed.aborted) throw this.#nodeClosed();
  }

  /** Whether there is anything of the node on disk. */
  hasDirectory(): boolean {
    return present(this.directory);
  }

  /** Keeps the settings. */
  writeNode(record: NodeRecord): void {
    writeRecord(nodeRecord, this.#record, record);
    const version = versionOf(this.#record);
    this.#read = version === undefined ? undefined : { version, record };
  }

  /** Forgets the settings, of a node that came to nothing. */
  removeRecord(): void {
    removeFile(this.#record);
  }

  /** Shares the node's lock, if it is kept open and that needs no waiting. */
  tryLock(): Disposable | undefined {
    return this.#kept?.tryAcquire();
  }

  /**
   * Locks the node: `shared` to work on a sandbox, `exclusive` to change the node itself.
   *
   * @throws {SandboxError} `NodeNotFound` when it was taken down since it was opened
   */
  async lock(mode: LockMode): Promise<Disposable> {
    const lock = mode === "shared" && this.tryLock() ||
      await this.#acquire(mode);
    if (lock !== undefined) return lock;
    const { name, stateDir } = this;
    throw new SandboxError("NodeNotFound", { name, stateDir });
  }

  /**
   * Locks a node that may be new, making what is missing; {@linkcode NodeState.abandon} takes it back.
   *
   * @param mode `shared` is enough for a node that exists, and becomes `exclusive` if there is none by now
   * @throws {SandboxError} `StateUnusable`
   * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
   */
  async lockNew(mode: LockMode): Promise<OwnedFd> {
    if (mode === "shared") {
      const lock = await this.#lockKnown();
      if (lock !== undefined) return lock;
    }
    for (let attempt = 1;; attempt++) {
      let lock: OwnedFd | undefined;
      try {
        // Kept open: its descriptor serves to take it back when none is to be had for the lock.
        using _file = this.#ensure();
        lock = await this.#acquire("exclusive");
      } catch (error) {
        await this.#takeBackUnlocked();
        // Others may be taking away what they had made.
        if (isOfMissing(error) && attempt < MAKE_ATTEMPTS) continue;
        throw error;
      }
      if (lock === undefined) continue; // it was taken down in between
      this.#isUndecided = true;
      try {
        // Under the lock, so that nobody takes the node down meanwhile.
        this.#made.push(...ensurePrivateDirectory(this.sandboxesDirectory));
        shareMounts(this.directory);
        return lock;
      } catch (error) {
        this.abandon();
        lock[Symbol.dispose]();
        throw error;
      }
    }
  }

  /** Shares the lock of a node that exists; undefined when it was taken down. */
  async #lockKnown(): Promise<OwnedFd | undefined> {
    for (;;) {
      const lock = await this.#acquire("shared");
      if (lock === undefined) return undefined;
      try {
        if (this.exists()) {
          this.#ensure()[Symbol.dispose]();
          ensurePrivateDirectory(this.sandboxesDirectory);
          if (makeMountShared(this.directory)) return lock;
        }
      } catch (error) {
        lock[Symbol.dispose]();
        throw error;
      }
      lock[Symbol.dispose]();
      // Somebody unmounted it. Nobody may pin below while it is mounted again.
      using alone = await this.#acquire("exclusive");
      if (alone === undefined || !this.exists()) return undefined;
      shareMounts(this.directory);
    }
  }

  /** After a failure, which is the one to know: takes back what was made, unless somebody else has locked it by now. */
  async #takeBackUnlocked(): Promise<void> {
    try {
      const options = { timeoutMs: 0 };
      using alone = await acquireLock(this.#lock, "exclusive", options);
      this.#isUndecided = alone !== undefined;
      this.abandon();
    } catch {
      // Then it stays, and taking the node down removes it.
    }
    this.#takeBack();
  }

  #acquire(mode: LockMode): Promise<OwnedFd | undefined> {
    return acquireFairLock(this.#lock, this.directory, mode);
  }

  /**
   * Takes the directories away again that {@linkcode NodeState.lockNew} made for a node that came to nothing, whichever
   * process made them; the caller still holds that lock. Does nothing when there is a node.
   */
  abandon(): void {
    if (!this.#isUndecided) return;
    this.#isUndecided = false;
    if (this.exists() || present(this.#damaged)) return;
    // None of this needs a descriptor, of which there may be none.
    removeIfEmpty(this.sandboxesDirectory);
    if (present(this.sandboxesDirectory)) return;
    orIgnore(() => unshareMounts(this.directory));
    // Last of what is inside: without it, others make everything anew.
    orIgnore(() => removeFile(this.#lock));
    removeIfEmpty(this.directory);
    this.#takeBack();
  }

  /** Removes those directories that this object made, unless there is something in them. */
  #takeBack(): void {
    for (const path of this.#made.splice(0).reverse()) removeIfEmpty(path);
  }

  /** `<stateDir>/<node>/warm`. */
  get warmDirectory(): string {
    return `${this.directory}/warm`;
  }

  /**
   * The directory of a sandbox.
   *
   * @throws {TypeError} for what is no id: it must not lead elsewhere
   */
  sandboxDirectory(id: string): string {
    // A creation asks ten times: 4 µs.
    if (id === this.#asked) return this.#answer;
    if (!isId(id)) throw new TypeError(`${JSON.stringify(id)} is no id`);
    this.#answer = `${this.sandboxesDirectory}/${id}`;
    this.#asked = id;
    return this.#answer;
  }

  /** The path that containers join. */
  pinPath(id: string): string {
    return `${this.sandboxDirectory(id)}/${PIN}`;
  }

  /** Whether the path to join is there, mounted or not. */
  hasPin(id: string): boolean {
    return present(this.pinPath(id));
  }

  /** Locks a sandbox that has a directory; undefined when it has none. */
  lockSandbox(
    id: string,
    options?: LockOptions,
  ): Promise<OwnedFd | undefined> {
    return acquireLock(this.sandboxDirectory(id), "exclusive", options);
  }

  /** Whether a sandbox left anything here. */
  hasSandbox(id: string): boolean {
    return present(this.sandboxDirectory(id));
  }

  /**
   * The record of a sandbox, or undefined when it has none.
   *
   * @throws {SandboxError} `RecordInvalid` also when it is not of this sandbox, or tells what cannot be on this node
   */
  readSandbox(id: string): SandboxRecord | undefined {
    return this.records.read(id);
  }

  /** The record of a sandbox, or undefined when it has none that can be read. */
  readableSandbox(id: string): SandboxRecord | undefined {
    try {
      return this.readSandbox(id);
    } catch (error) {
      if (isSandboxError(error, "RecordInvalid")) return undefined;
      throw error;
    }
  }

  /** Keeps the record of a sandbox; see {@linkcode SandboxRecords.write}. */
  writeSandbox(record: SandboxRecord, made?: OwnedFd): void {
    this.records.write(record, made);
  }

  /** The ids of all sandboxes that have a directory. */
  sandboxIds(): string[] {
    return directoriesIn(this.sandboxesDirectory).filter(isId).sort();
  }

  /** Removes what a sandbox left here; its pin must be gone. The record goes last, so that a crash leaves it to be found. */
  removeSandbox(id: string): void {
    this.records.forget(id);
    const directory = this.sandboxDirectory(id);
    // What a sandbox has, mostly. To read what there is takes 15 µs more.
    if (!removeWith(directory, [...DNS_FILES, RECORD_FILES[0]])) {
      removeDirectory(directory, RECORD_FILES);
    }
  }

  /**
   * Keeps a record that cannot be read for people to look at until the node is taken down. The caller holds its lock.
   *
   * @throws {SandboxError} `StateUnusable`
   */
  setAsideRecord(id: string): void {
    ensurePrivateDirectory(this.#damaged);
    // Nobody else sets anything aside for this id.
    const place = (count: number) => `${this.#damaged}/${id}.${count}.cbor`;
    let count = 1;
    while (present(place(count))) count++;
    const path = this.records.path(id);
    try {
      rename(path, place(count));
    } catch (error) {
      throw unusable(path, error);
    }
  }

  /** Removes the node's own files; its sandboxes must be gone. */
  removeNode(): void {
    removeWarmDirectories(this.warmDirectory, { isAll: true });
    this.removed.finishAll({ isAll: true });
    removeDirectory(this.sandboxesDirectory);
    removeDirectory(this.#damaged);
    this.peers.remove();
    unshareMounts(this.directory);
    removeDirectory(this.directory, ["lock"]);
  }

  /** Makes the node's directory and its lock, which is returned open. */
  #ensure(): OwnedFd {
    for (const path of [this.stateDir, this.directory]) {
      this.#made.push(...ensurePrivateDirectory(path));
    }
    return makeLock(this.#lock);
  }
}

/** How often others may take away what a new node needs while it is made. */
const MAKE_ATTEMPTS = 100;

function isOfMissing(error: unknown): boolean {
  return isSandboxError(error) && isSyscallError(error.cause, Errno.ENOENT);
}

/**
 * Where a node keeps its notes:
 *
 * ```text
 * <stateDir>/<node>/node.cbor               the node's settings
 *                   lock                    shared by those who work on sandboxes, exclusive for the node itself
 *                   sandboxes/<id>/         the directory is the sandbox's lock
 *                                 record.cbor  netns  resolv.conf  hosts
 *                   damaged/                records that could not be read
 * ```
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import {
  lstat,
  mkdir,
  O_CREAT,
  O_NOFOLLOW,
  O_RDONLY,
  open,
  readDirectory,
  rename,
  rmdir,
} from "../../ffi/file.ts";
import { isSandboxError, SandboxError } from "../errors.ts";
import {
  areMountsShared,
  shareMounts,
  unshareMounts,
} from "../namespace/pin.ts";
import {
  acquireFairLock,
  acquireLock,
  type LockMode,
  type LockOptions,
} from "../state/lock.ts";
import {
  ensurePrivateDirectory,
  readRecord,
  removeFile,
  removeIfEmpty,
  unusable,
  writeRecord,
} from "../state/store.ts";
import {
  type NodeRecord,
  nodeRecord,
  type SandboxRecord,
  sandboxRecord,
} from "./records.ts";

/** The files of one node. */
export class NodeState {
  readonly stateDir: string;
  /** Of the node. */
  readonly name: string;
  /** `<stateDir>/<node>`. */
  readonly directory: string;
  readonly #record: string;
  readonly #lock: string;
  readonly #sandboxes: string;
  readonly #damaged: string;
  /** Directories made by this object, parents first. */
  readonly #made: string[] = [];

  constructor(stateDir: string, name: string) {
    this.stateDir = stateDir;
    this.name = name;
    this.directory = `${stateDir}/${name}`;
    this.#record = `${this.directory}/node.cbor`;
    this.#lock = `${this.directory}/lock`;
    this.#sandboxes = `${this.directory}/sandboxes`;
    this.#damaged = `${this.directory}/damaged`;
  }

  /** Whether the node was ever opened. */
  exists(): boolean {
    return present(this.#record);
  }

  /** The settings, or undefined for a node that was never opened. */
  readNode(): NodeRecord | undefined {
    return readRecord(nodeRecord, this.#record);
  }

  /** Whether there is anything of the node on disk. */
  hasDirectory(): boolean {
    return present(this.directory);
  }

  /** Keeps the settings. */
  writeNode(record: NodeRecord): void {
    writeRecord(nodeRecord, this.#record, record);
  }

  /** Forgets the settings, of a node that came to nothing. */
  removeRecord(): void {
    removeFile(this.#record);
  }

  /**
   * Locks the node: `shared` to work on a sandbox, `exclusive` to change the node itself.
   *
   * @throws {SandboxError} `NodeNotFound` when it was taken down since it was opened
   */
  async lock(mode: LockMode): Promise<OwnedFd> {
    const lock = await acquireFairLock(this.#lock, this.directory, mode);
    if (lock !== undefined) return lock;
    const { name, stateDir } = this;
    throw new SandboxError("NodeNotFound", { name, stateDir });
  }

  /**
   * Locks a node that may be new, making what is missing; {@linkcode NodeState.abandon} takes it back.
   *
   * @throws {SandboxError} `StateUnusable`
   * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
   */
  async lockNew(mode: LockMode): Promise<OwnedFd> {
    for (let wanted = mode;;) {
      try {
        this.#ensure();
      } catch (error) {
        this.abandon();
        throw error;
      }
      const lock = await acquireFairLock(this.#lock, this.directory, wanted);
      if (lock === undefined) continue; // it was taken down in between
      try {
        // Under the lock, so that nobody takes the node down meanwhile.
        this.#made.push(...ensurePrivateDirectory(this.#sandboxes));
        if (wanted === "exclusive") shareMounts(this.directory);
        if (wanted === mode && areMountsShared(this.directory)) return lock;
        // Somebody unmounted it. Nobody may pin below while it is mounted again.
        wanted = wanted === mode ? "exclusive" : mode;
        lock[Symbol.dispose]();
      } catch (error) {
        this.abandon();
        lock[Symbol.dispose]();
        throw error;
      }
    }
  }

  /** Takes back what {@linkcode NodeState.lockNew} made for a node that came to nothing; does nothing if the node was there before. */
  abandon(): void {
    const made = this.#made.splice(0).reverse();
    // Made by somebody else, the node's directory and what is in it is theirs.
    const isMine = made.includes(this.directory);
    const steps = [
      ...isMine
        ? [() => unshareMounts(this.directory), () => removeFile(this.#lock)]
        : [],
      ...made.filter((path) => isMine || !path.startsWith(this.directory))
        .map((path) => () => removeIfEmpty(path)),
    ];
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        // What cannot be taken back is empty; the error that led here is the one to know.
        if (!(error instanceof SyscallError)) throw error;
      }
    }
  }

  /** `<stateDir>/<node>/sandboxes`. */
  get sandboxesDirectory(): string {
    return this.#sandboxes;
  }

  /** The directory of a sandbox. */
  sandboxDirectory(id: string): string {
    return `${this.#sandboxes}/${id}`;
  }

  /** The path that containers join. */
  pinPath(id: string): string {
    return `${this.sandboxDirectory(id)}/netns`;
  }

  /** Whether there is the file that the path to join is, mounted or not. */
  hasPin(id: string): boolean {
    return present(this.pinPath(id));
  }

  /** Locks a sandbox, making its directory if need be. */
  async lockNewSandbox(id: string, options?: LockOptions): Promise<OwnedFd> {
    const directory = this.sandboxDirectory(id);
    for (;;) {
      const made = ensureDirectory(directory);
      try {
        const lock = await acquireLock(directory, "exclusive", options);
        if (lock !== undefined) return lock;
      } catch (error) {
        if (made) removeIfEmpty(directory);
        throw error;
      }
    }
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

  /** The record of a sandbox, or undefined when it has none. */
  readSandbox(id: string): SandboxRecord | undefined {
    return readRecord(
      sandboxRecord,
      `${this.sandboxDirectory(id)}/record.cbor`,
    );
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

  /** Keeps the record of a sandbox. */
  writeSandbox(record: SandboxRecord): void {
    writeRecord(
      sandboxRecord,
      `${this.sandboxDirectory(record.id)}/record.cbor`,
      record,
    );
  }

  /** The ids of all sandboxes that have a directory. */
  sandboxIds(): string[] {
    try {
      return readDirectory(this.#sandboxes)
        .filter(({ kind }) => kind === "directory")
        .map(({ name }) => name).sort();
    } catch (error) {
      if (isSyscallError(error, Errno.ENOENT)) return [];
      throw error;
    }
  }

  /** Removes what a sandbox left here; its pin must be gone. The record goes last, so that a crash leaves it to be found. */
  removeSandbox(id: string): void {
    removeDirectory(this.sandboxDirectory(id), "record.cbor");
  }

  /** Keeps a record that cannot be read for people to look at, until the node is taken down. */
  setAsideRecord(id: string): void {
    ensurePrivateDirectory(this.#damaged);
    rename(
      `${this.sandboxDirectory(id)}/record.cbor`,
      `${this.#damaged}/${id}.${Date.now()}.cbor`,
    );
  }

  /** Removes the node's own files; its sandboxes must be gone. */
  removeNode(): void {
    removeDirectory(this.#sandboxes);
    removeDirectory(this.#damaged);
    unshareMounts(this.directory);
    removeDirectory(this.directory, "lock");
  }

  #ensure(): void {
    for (const path of [this.stateDir, this.directory]) {
      this.#made.push(...ensurePrivateDirectory(path));
    }
    try {
      open(this.#lock, O_RDONLY | O_CREAT | O_NOFOLLOW, 0o600)
        [Symbol.dispose]();
    } catch (error) {
      throw unusable(this.#lock, error);
    }
  }
}

/** Makes a directory; false when there is one. */
function ensureDirectory(path: string): boolean {
  try {
    mkdir(path, 0o700);
    return true;
  } catch (error) {
    if (isSyscallError(error, Errno.EEXIST)) return false;
    throw unusable(path, error);
  }
}

function present(path: string): boolean {
  try {
    lstat(path);
    return true;
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT, Errno.ENOTDIR)) return false;
    throw unusable(path, error);
  }
}

/** Removes a directory and the files in it, `last` after the others; absent is fine. */
function removeDirectory(path: string, last?: string): void {
  try {
    const names = readDirectory(path).map(({ name }) => name);
    for (const name of names) {
      if (name !== last) removeFile(`${path}/${name}`);
    }
    if (last !== undefined) removeFile(`${path}/${last}`);
    rmdir(path);
  } catch (error) {
    // Somebody may be setting the node up anew at this moment.
    if (!isSyscallError(error, Errno.ENOENT, Errno.ENOTEMPTY)) throw error;
  }
}

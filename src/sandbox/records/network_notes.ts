/**
 * What a sandbox is attached to by plugins, noted before they run: `sandboxes/<id>/networks/record.cbor`. The directory is
 * there as long as there is something in it, and it is the lock that keeps two operations of one container apart: apart
 * from the sandbox's own, since plugins take their time, and may be podnet.
 *
 * @module
 */
import * as v from "valibot";
import type { JsonObject } from "../../cni/model/json.ts";
import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import { O_DIRECTORY, readDirectory } from "../../../ffi/file.ts";
import { lstatAt } from "../../../ffi/file_at.ts";
import { isSandboxError, SandboxError } from "../../errors.ts";
import {
  absolutePath,
  interfaceName,
  late,
  milliseconds,
  name,
} from "../../spec/fields.ts";
import {
  ensureDirectory,
  present,
  removeDirectory,
} from "../../state/directory.ts";
import { isObject } from "../../spec/problems.ts";
import { acquireLock, isStill, type LockOptions } from "../../state/lock.ts";
import type { RecordKind } from "../../state/record.ts";
import {
  readRecord,
  removeFile,
  removeIfEmpty,
  UNFINISHED,
  unusable,
  writeRecord,
} from "../../state/store.ts";
import type { NodeState } from "./node_state.ts";

/** As text: what plugins say may be nested deeper than a record is read. */
function jsonWith(lists: readonly string[]): v.GenericSchema<unknown, string> {
  return v.pipe(
    v.string(),
    v.check((text) => {
      try {
        const value: unknown = JSON.parse(text);
        return isObject(value) &&
          lists.every((key) => Array.isArray(value[key]));
      } catch {
        return false;
      }
    }, "is not what it should be as JSON"),
  );
}

const jsonText = jsonWith([]);

const noteSchema = late(() =>
  v.object({
    /** The interface's. */
    name: interfaceName,
    /** `unfinished` while plugins make it or take it away; found later, it tells of a crash or a failure. */
    state: v.picklist(["unfinished", "ready"]),
    network: name(255),
    cniVersion: v.string(),
    plugins: v.pipe(v.array(v.string()), v.readonly()),
    containerId: name(255),
    /** `createdAt` of the sandbox. */
    incarnation: v.string(),
    config: jsonText,
    args: v.pipe(v.array(v.tuple([v.string(), v.string()])), v.readonly()),
    runtimeConfig: jsonText,
    pluginDirs: v.pipe(v.array(absolutePath), v.readonly()),
    cacheDir: absolutePath,
    timeoutMs: milliseconds,
    /** The process group of who ran its plugins last. Notes of earlier versions do not have it. */
    group: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(0))),
    /** The last plugin's, as it came, once there is one. */
    result: v.exactOptional(jsonText),
    /** The result, read. */
    made: v.exactOptional(jsonWith(["interfaces", "ips", "routes"])),
  })
);

/** An attachment as it is noted. */
export type NetworkNote = Readonly<v.InferOutput<typeof noteSchema>>;

interface NotesBody {
  readonly attachments: readonly NetworkNote[];
}

/** What a sandbox is attached to. */
export const networksRecord: RecordKind<NotesBody> = {
  kind: "networks",
  version: 1,
  schema: v.object({ attachments: v.array(noteSchema) }),
};

/** A JSON text of a note. */
export function readJson(text: string): JsonObject {
  return JSON.parse(text);
}

function directoryOf(state: NodeState, id: string): string {
  return `${state.sandboxDirectory(id)}/${NETWORKS}`;
}

const NETWORKS = "networks";

/** Whether a sandbox may be attached to networks. Costs as little as asking the file system for a name. */
export function hasNetworks(state: NodeState, id: string): boolean {
  return present(directoryOf(state, id));
}

/**
 * As {@linkcode hasNetworks}, from the sandbox's open directory on: 2 µs less. That a directory without others has two names
 * would cost a microsecond less yet, and is not so on each file system.
 */
export function hasNetworksIn(
  state: NodeState,
  id: string,
  directory: OwnedFd,
): boolean {
  try {
    return lstatAt(directory, NETWORKS) !== undefined;
  } catch (error) {
    throw unusable(directoryOf(state, id), error);
  }
}

/**
 * What a sandbox is attached to at this moment.
 *
 * @throws {SandboxError} `RecordInvalid`
 */
export function readNetworks(
  state: NodeState,
  id: string,
): readonly NetworkNote[] {
  const directory = directoryOf(state, id);
  // Most sandboxes have none, and a name costs less than a file.
  return present(directory) ? read(directory) : [];
}

function read(directory: string): readonly NetworkNote[] {
  return readRecord(networksRecord, `${directory}/record.cbor`)?.attachments ??
    [];
}

/** Takes away what is noted of a sandbox; its plugins have been run, or cannot be any more. */
export function removeNetworks(state: NodeState, id: string): void {
  removeStray(state, id);
  removeDirectory(directoryOf(state, id));
}

/**
 * Takes away what is there in place of a directory, in which no notes can be; absent is fine.
 *
 * @throws {SandboxError} `StateUnusable`
 */
export function removeStray(state: NodeState, id: string): void {
  const path = directoryOf(state, id);
  try {
    removeFile(path);
  } catch (error) {
    if (!isSyscallError(error, Errno.EISDIR)) throw unusable(path, error);
  }
}

/** The attachments of one sandbox, to which nobody else does anything until this is disposed. */
export class NetworkNotes implements Disposable {
  readonly #directory: string;
  readonly #lock: OwnedFd;

  private constructor(directory: string, lock: OwnedFd) {
    this.#directory = directory;
    this.#lock = lock;
  }

  /**
   * Makes room for attachments of a sandbox whose lock the caller holds.
   *
   * @returns whether there was none
   * @throws {SandboxError} `StateUnusable`
   */
  static prepare(state: NodeState, id: string): boolean {
    return ensureDirectory(directoryOf(state, id));
  }

  /** Takes room away that {@linkcode NetworkNotes.prepare} made for nothing. */
  static abandon(state: NodeState, id: string): void {
    removeIfEmpty(directoryOf(state, id));
  }

  /**
   * Locks what was prepared; undefined when it is gone.
   *
   * @throws {SandboxError} `Timeout`; `StateUnusable`, also when it is no directory
   */
  static async lock(
    state: NodeState,
    id: string,
    options?: LockOptions,
  ): Promise<NetworkNotes | undefined> {
    const directory = directoryOf(state, id);
    const lock = await acquireLock(directory, "exclusive", {
      ...options,
      flags: O_DIRECTORY,
    });
    return lock && new NetworkNotes(directory, lock);
  }

  /** @throws {SandboxError} `RecordInvalid` */
  list(): readonly NetworkNote[] {
    return read(this.#directory);
  }

  /** Notes an attachment, in place of the one of its name. */
  put(note: NetworkNote): void {
    this.#write([...this.#others(note.name), note]);
  }

  /** Forgets the attachment of this name. */
  delete(name: string): void {
    this.#write(this.#others(name));
  }

  /** Forgets all of them, readable or not. */
  clear(): void {
    this.#write([]);
  }

  #others(name: string): NetworkNote[] {
    return this.list().filter((note) => note.name !== name);
  }

  #write(attachments: readonly NetworkNote[]): void {
    writeRecord(networksRecord, `${this.#directory}/record.cbor`, {
      attachments,
    });
  }

  /** Files that a killed process left while it wrote. */
  temporaryFiles(): string[] {
    return readDirectory(this.#directory)
      .filter(({ name }) => name.endsWith(UNFINISHED))
      .map(({ name }) => `${this.#directory}/${name}`);
  }

  /**
   * Takes the directory away, in which nothing is noted any more.
   *
   * @throws {SandboxError} `StateUnusable` when it stays
   */
  removeDirectory(): void {
    const path = this.#directory;
    try {
      removeDirectory(path);
    } catch (error) {
      throw unusable(path, error);
    }
    if (!isStill(path, this.#lock)) return;
    const reason = "has something in it that podnet did not make: take it away";
    throw new SandboxError("StateUnusable", { path, reason });
  }

  /**
   * Unlocks; takes the directory away when nothing is attached. One that stays says nothing, and the next one to lock it
   * takes it away.
   */
  [Symbol.dispose](): void {
    using _lock = this.#lock;
    try {
      // Its sandbox may be gone by now, and another one of its id be there.
      if (!isStill(this.#directory, this.#lock)) return;
      if (this.list().length === 0) removeDirectory(this.#directory);
    } catch (error) {
      const isKnown = error instanceof SyscallError || isSandboxError(error);
      if (!isKnown) throw error;
    }
  }
}

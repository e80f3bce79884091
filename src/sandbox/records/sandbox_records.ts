/**
 * The records of a node's sandboxes.
 *
 * A sandbox that is being made has a note instead of a record, under another name. When it is ready, the note is renamed:
 * so it is written once (twice cost 60 µs more a pod), and its name says whether it is ready.
 *
 * @module
 */
import { isSandboxError, SandboxError } from "../../errors.ts";
import {
  readRecord,
  removeFile,
  writeNewRecord,
  writeRecord,
} from "../../state/store.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import { rename } from "../../../ffi/file.ts";
import { contradiction } from "./contradiction.ts";
import { type LockedSandbox, OwnRecords } from "./own_records.ts";
import {
  type NodeRecord,
  type SandboxRecord,
  sandboxRecord,
} from "./records.ts";

/** The files that go last when a sandbox is removed, in this order: what leads to the rest. */
export const RECORD_FILES = ["record.cbor", "creating.cbor"] as const;
/** The file of one that is ready, and of one that is being made. */
export const [RECORD, NOTE] = RECORD_FILES;

/** See the module. */
export class SandboxRecords {
  readonly #directory: (id: string) => string;
  readonly #own = new OwnRecords();
  readonly #pathOf = (id: string) => this.path(id);
  #settings: NodeRecord | undefined;
  /** The note that was written last. */
  #noted: SandboxRecord | undefined;

  /** `directory` tells where a sandbox has its files. */
  constructor(directory: (id: string) => string) {
    this.#directory = directory;
  }

  /** Where the record of a sandbox that is ready is. */
  path(id: string): string {
    return `${this.#directory(id)}/${RECORD}`;
  }

  /** Keeps files of sandboxes that are changed open, until what it returns is disposed. */
  keepOpen(): Disposable {
    return this.#own.keepOpen();
  }

  /** Locks a sandbox whose record is as this process left it, if that needs neither a look at its path nor waiting. */
  tryLock(id: string): LockedSandbox | undefined {
    return this.#own.tryLock(id);
  }

  /** Gives the lock of a sandbox back. */
  release(id: string, lock: OwnedFd): void {
    this.#own.release(id, lock);
  }

  /** From now on records are held against the node's settings. */
  holdTo(settings: NodeRecord): void {
    this.#settings = settings;
  }

  /**
   * The record of a sandbox, or undefined when it has none.
   *
   * @throws {SandboxError} `RecordInvalid` also when it is not of this sandbox, or tells what cannot be on this node
   */
  read(id: string): SandboxRecord | undefined {
    const path = this.path(id);
    return this.findOwn(id) ?? this.#read(id, path) ??
      // Looked at once more, since it may have become ready between.
      this.#readNote(id) ?? this.#read(id, path);
  }

  /** The record of a sandbox if it is what this process has written itself. */
  findOwn(id: string): SandboxRecord | undefined {
    return this.#own.find(id, this.path(id));
  }

  #read(id: string, path: string): SandboxRecord | undefined {
    const record = readRecord(sandboxRecord, path);
    const reason = record &&
      (record.id === id
        ? this.#settings && contradiction(record, this.#settings)
        : `is that of sandbox ${record.id}`);
    if (reason === undefined) return record;
    throw new SandboxError("RecordInvalid", { path, reason });
  }

  /** One that cannot be read was not finished: nothing that it would lead to had been made. */
  #readNote(id: string): SandboxRecord | undefined {
    try {
      const note = this.#read(id, this.#note(id));
      return note && { ...note, state: "creating" };
    } catch (error) {
      if (isSandboxError(error, "RecordInvalid")) return undefined;
      throw error;
    }
  }

  #note(id: string): string {
    return `${this.#directory(id)}/${NOTE}`;
  }

  /**
   * Keeps the record of a sandbox; of one that is not ready as a note.
   *
   * @param made the file of the note, if it was made before
   */
  write(record: SandboxRecord, made?: OwnedFd): void {
    if (record.state === "creating") return this.#writeNote(record, made);
    if (this.#own.tryToChange(record, this.#pathOf)) return;
    const path = this.path(record.id);
    writeRecord(sandboxRecord, path, record);
    this.#own.add(record, path);
  }

  #writeNote(record: SandboxRecord, made: OwnedFd | undefined): void {
    // Nobody is ready without an address, also not in a file.
    const state = record.addresses.length === 0 ? "creating" : "ready";
    const path = this.#note(record.id);
    const note: SandboxRecord = { ...record, state };
    if (this.#noted?.id === record.id) writeRecord(sandboxRecord, path, note);
    else writeNewRecord(sandboxRecord, path, note, made);
    this.#noted = record;
  }

  /** Keeps the record of a sandbox that has become ready, and returns that. */
  finish(record: SandboxRecord): SandboxRecord {
    const { id } = record;
    const ready: SandboxRecord = { ...record, state: "ready" };
    // A note without addresses does not say that it is ready.
    if (record === this.#noted && record.addresses.length > 0) {
      const path = this.path(id);
      rename(this.#note(id), path);
      this.#own.add(ready, path);
    } else {
      this.write(ready);
      removeFile(this.#note(id));
    }
    this.#noted = undefined;
    return ready;
  }

  /** Whether the record is what this process has made of the sandbox itself, and not what a file says. */
  isOwn(record: SandboxRecord): boolean {
    return this.#own.has(record);
  }

  /** Forgets what this process knows of a sandbox. */
  forget(id: string): void {
    if (this.#noted?.id === id) this.#noted = undefined;
    this.#own.delete(id);
  }

  /** As {@linkcode SandboxRecords.forget}; what is open of it, locked as it is, is the caller's to close. */
  take(id: string): Disposable | undefined {
    if (this.#noted?.id === id) this.#noted = undefined;
    return this.#own.take(id);
  }

  /** Removes the record of a sandbox of which nothing else is left. */
  remove(id: string): void {
    this.forget(id);
    for (const name of RECORD_FILES) {
      removeFile(`${this.#directory(id)}/${name}`);
    }
  }
}

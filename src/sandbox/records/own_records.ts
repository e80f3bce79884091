/**
 * The records that this process has written itself.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import { fstat } from "../../../ffi/file.ts";
import { keepShape, LastShape } from "../../shape.ts";
import { encodeChange } from "../../state/record.ts";
import {
  append,
  openToAppend,
  versionIfTold,
  versionOf,
} from "../../state/version.ts";
import { unusable, writeRecord } from "../../state/store.ts";
import { OpenRecords } from "./open_records.ts";
import { type SandboxRecord, sandboxRecord } from "./records.ts";
import { orIgnore } from "./undo.ts";

/** Some 2 KB each. */
const MAX_RECORDS = 10_000;

/** A file with more changes than this is written anew, and so is a long one at each change. */
const MAX_CHANGES_BYTES = 4096;
const MAX_FILE_BYTES = 1 << 16;

/**
 * The lock of a sandbox, held until it is disposed. A class, since V8 asks its runtime for each literal with a method by a
 * symbol: 0.2 to 0.5 µs.
 */
export class LockedSandbox implements Disposable {
  /** Undefined when it has none. */
  readonly record: SandboxRecord | undefined;
  /** Its directory, which is what is locked. */
  readonly directory: OwnedFd;
  readonly #unlock: () => void;

  constructor(
    record: SandboxRecord | undefined,
    directory: OwnedFd,
    unlock: () => void,
  ) {
    this.record = record;
    this.directory = directory;
    this.#unlock = unlock;
  }

  [Symbol.dispose](): void {
    this.#unlock();
  }
}

keepShape(new LockedSandbox(undefined, undefined as never, undefined as never));

/** What this process has written to a file. */
interface Own {
  readonly record: SandboxRecord;
  /** Undefined when the file was gone at once, or nobody told. */
  readonly version: string | undefined;
  /** How long it is; 0 when it is not known. */
  readonly size: number;
  /** How much of it are changes. */
  readonly changesBytes: number;
}

/** Its shape is that of a copy, and its fields'. */
const RECORD = new LastShape();

/**
 * Records as they were written, each with the state of its file: as long as that is the same, reading it again would take
 * 0.1 ms to tell the same. What that state relies on, {@linkcode versionOf} tells.
 */
export class OwnRecords {
  readonly #records = new Map<string, Own>();
  readonly #open = new OpenRecords();

  /** Keeps files of sandboxes open, until what it returns is disposed. */
  keepOpen(): Disposable {
    return this.#open.keep();
  }

  /** Locks a sandbox whose record is as this process left it, if its files are open still and nobody else has it. */
  tryLock(id: string): LockedSandbox | undefined {
    const own = this.#records.get(id);
    if (own?.version === undefined) return undefined;
    const lock = this.#open.tryLock(id, own.version);
    return lock && new LockedSandbox(own.record, lock.directory, lock.unlock);
  }

  /** Gives the lock of a sandbox back, which may be kept open. */
  release(id: string, lock: OwnedFd): void {
    this.#open.release(id, lock);
  }

  /** The record of a sandbox, unless its file is another one by now. */
  find(id: string, path: string): SandboxRecord | undefined {
    const own = this.#records.get(id);
    if (own?.version === undefined) return undefined;
    if (own.version === versionOf(path)) return own.record;
    // What is to be added to it now is no change of what this process knows.
    this.delete(id);
    return undefined;
  }

  /** Notes what was written to the file. */
  add(record: SandboxRecord, path: string): void {
    if (this.#records.size >= MAX_RECORDS) this.#records.clear();
    // Of a file that was replaced: nothing of it can be lost any more.
    orIgnore(() => this.#open.close(record.id));
    // What is written is written, also when nobody tells in which state the file is.
    const version = versionIfTold(path);
    this.#records.set(record.id, { record, version, size: 0, changesBytes: 0 });
  }

  /**
   * Adds to the file what has changed since this process wrote it. The caller has the sandbox's lock.
   *
   * @param pathOf tells where the file of a sandbox is
   * @returns false when the record is to be written whole
   * @throws {SandboxError} `StateUnusable`; the record is as it was
   */
  tryToChange(record: SandboxRecord, pathOf: (id: string) => string): boolean {
    const { id } = record;
    const own = this.#records.get(id);
    if (own?.version === undefined) return false;
    const change = encodeChange(own.record, record);
    if (change === undefined) return false;
    const changesBytes = own.changesBytes + change.length;
    if (changesBytes > MAX_CHANGES_BYTES) return false;
    let isAdded = false;
    try {
      let { size } = own;
      let file = this.#open.record(id);
      if (file === undefined) {
        file = openToAppend(pathOf(id));
        this.#open.add(id, file);
        const status = fstat(file);
        if (status.version !== own.version) return false;
        ({ size } = status);
      }
      if (size + change.length > MAX_FILE_BYTES) return false;
      const now = append(file, size, change);
      if (now === undefined) return false;
      ({ size } = now);
      // Written out: the shape of a copy of another object would go with the last of them.
      this.#records.set(id, {
        record,
        version: now.version,
        size,
        changesBytes,
      });
      isAdded = true;
      return true;
    } catch (error) {
      if (isSyscallError(error, Errno.ENOENT)) return false;
      const path = pathOf(id);
      restore(own.record, path);
      throw unusable(path, error);
    } finally {
      // Whatever has become of the file.
      if (!isAdded) this.#records.delete(id);
      if (!isAdded || !this.#open.isKept) this.#open.close(id);
    }
  }

  /** Whether it is this very record that was written last. */
  has(record: SandboxRecord): boolean {
    return this.#records.get(record.id)?.record === record;
  }

  /** Forgets a sandbox. What is open of it is the caller's to close. */
  take(id: string): Disposable | undefined {
    RECORD.last = this.#records.get(id)?.record ?? RECORD.last;
    this.#records.delete(id);
    return this.#open.take(id);
  }

  /** Forgets a sandbox. */
  delete(id: string): void {
    this.#open.close(id);
    this.#records.delete(id);
  }
}

/** After a failure, which is the one to know: what was to be added may be there, or a part of it. */
function restore(record: SandboxRecord, path: string): void {
  try {
    writeRecord(sandboxRecord, path, record);
  } catch {
    // Then it is there in vain: a note without what it is of.
  }
}

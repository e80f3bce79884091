/**
 * The records that this process has written itself.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { encodeChange } from "../../state/record.ts";
import { append, versionIfTold, versionOf } from "../../state/version.ts";
import { unusable, writeRecord } from "../../state/store.ts";
import { type SandboxRecord, sandboxRecord } from "./records.ts";

/** Some 2 KB each. */
const MAX_RECORDS = 10_000;

/** A file with more changes than this is written anew, and so is a long one at each change. */
const MAX_CHANGES_BYTES = 4096;
const MAX_FILE_BYTES = 1 << 16;

/** What this process has written to a file. */
interface Own {
  readonly record: SandboxRecord;
  /** Undefined when the file was gone at once, or nobody told. */
  readonly version: string | undefined;
  /** How much of it are changes. */
  readonly changesBytes: number;
}

/**
 * Records as they were written, each with the state of its file: as long as that is the same, reading it again would take
 * 0.1 ms to tell the same. What that state relies on, {@linkcode versionOf} tells.
 */
export class OwnRecords {
  readonly #records = new Map<string, Own>();

  /** The record of a sandbox, unless its file is another one by now. */
  find(id: string, path: string): SandboxRecord | undefined {
    const own = this.#records.get(id);
    if (own?.version === undefined) return undefined;
    return own.version === versionOf(path) ? own.record : undefined;
  }

  /** Notes what was written to the file. */
  add(record: SandboxRecord, path: string): void {
    if (this.#records.size >= MAX_RECORDS) this.#records.clear();
    // What is written is written, also when nobody tells in which state the file is.
    const version = versionIfTold(path);
    this.#records.set(record.id, { record, version, changesBytes: 0 });
  }

  /**
   * Adds to the file what has changed since this process wrote it. The caller has the sandbox's lock.
   *
   * @returns false when the record is to be written whole
   * @throws {SandboxError} `StateUnusable`; the record is as it was
   */
  tryToChange(record: SandboxRecord, path: string): boolean {
    const own = this.#records.get(record.id);
    if (own?.version === undefined) return false;
    const change = encodeChange(own.record, record);
    if (change === undefined) return false;
    const changesBytes = own.changesBytes + change.length;
    if (changesBytes > MAX_CHANGES_BYTES) return false;
    // Whatever becomes of the file.
    this.#records.delete(record.id);
    try {
      const version = append(path, own.version, change, MAX_FILE_BYTES);
      if (version === undefined) return false;
      this.#records.set(record.id, { record, version, changesBytes });
      return true;
    } catch (error) {
      if (isSyscallError(error, Errno.ENOENT)) return false;
      restore(own.record, path);
      throw unusable(path, error);
    }
  }

  /** Whether it is this very record that was written last. */
  has(record: SandboxRecord): boolean {
    return this.#records.get(record.id)?.record === record;
  }

  /** Forgets a sandbox. */
  delete(id: string): void {
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

/**
 * The records that this process has written itself.
 *
 * @module
 */
import { versionOf } from "../state/directory.ts";
import type { SandboxRecord } from "./records.ts";

/** Some 2 KB each. */
const MAX_RECORDS = 10_000;

/**
 * Records as they were written, each with the state of its file: as long as that is the same, reading it again would take
 * 0.1 ms to tell the same. What that state relies on, {@linkcode versionOf} tells.
 */
export class OwnRecords {
  readonly #records = new Map<
    string,
    { readonly record: SandboxRecord; readonly version: string | undefined }
  >();

  /** The record of a sandbox, unless its file is another one by now. */
  find(id: string, path: string): SandboxRecord | undefined {
    const own = this.#records.get(id);
    if (own?.version === undefined) return undefined;
    return own.version === versionOf(path) ? own.record : undefined;
  }

  /** Notes what was written to the file. */
  add(record: SandboxRecord, path: string): void {
    if (this.#records.size >= MAX_RECORDS) this.#records.clear();
    this.#records.set(record.id, { record, version: versionOf(path) });
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

/**
 * The records of sandboxes that this process has written itself. As long as the file is the same, to read it again would
 * take 0.1 ms, and tell the same.
 *
 * @module
 */
import { versionOf } from "../state/directory.ts";
import type { SandboxRecord } from "./records.ts";

/** Some 2 KB each. */
const MAX_KEPT = 10_000;

/** See the module. */
export class WrittenRecords {
  readonly #kept = new Map<
    string,
    { readonly record: SandboxRecord; readonly version: string | undefined }
  >();

  /** The record of the sandbox, if the file at `path` is still the one that was written. */
  get(id: string, path: string): SandboxRecord | undefined {
    const kept = this.#kept.get(id);
    return kept?.version !== undefined && kept.version === versionOf(path)
      ? kept.record
      : undefined;
  }

  /** Is to be called when the record was written to the file at `path`, under the sandbox's lock. */
  set(record: SandboxRecord, path: string): void {
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(record.id, { record, version: versionOf(path) });
  }

  /** Whether it is one of these, and not what a file says. */
  has(record: SandboxRecord): boolean {
    return this.#kept.get(record.id)?.record === record;
  }

  /** Forgets a sandbox. */
  delete(id: string): void {
    this.#kept.delete(id);
  }
}

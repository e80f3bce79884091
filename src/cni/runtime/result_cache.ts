/**
 * What is attached, noted where the reference runtime library notes it: `<cacheDir>/results/<network>-<container>-<link>`.
 * @module
 */

import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import {
  O_NOFOLLOW,
  O_NONBLOCK,
  readDirectory,
  readTextFile,
} from "../../../ffi/file.ts";
import {
  acquireFairLock,
  type LockMode,
  type LockOptions,
} from "../../state/lock.ts";
import {
  ensurePrivateDirectory,
  removeFile,
  UNFINISHED,
  unusable,
  writeFileAtomic,
} from "../../state/store.ts";
import {
  type CachedAttachment,
  cacheFileName,
  formatCachedAttachment,
  parseCachedAttachment,
} from "../model/cache.ts";
import { CniError } from "../model/error.ts";

/** No attachment's file is longer. */
const MAX_BYTES = 1 << 22;

/** What names an attachment's file. */
type Key = Pick<CachedAttachment, "networkName" | "containerId" | "ifName">;

/** The files of one directory. */
export class ResultCache {
  readonly #directory: string;
  readonly #results: string;

  /** @param directory an absolute path; it is made when something is written */
  constructor(directory: string) {
    this.#directory = directory;
    this.#results = `${directory}/results`;
  }

  /**
   * Keeps collectors of garbage out, or everybody. Dispose the result to unlock.
   *
   * @throws {SandboxError} `Timeout`, `StateUnusable`
   */
  async lock(mode: LockMode, options?: LockOptions): Promise<OwnedFd> {
    for (;;) {
      ensurePrivateDirectory(this.#results);
      const lock = await acquireFairLock(
        this.#results,
        this.#directory,
        mode,
        options,
      );
      if (lock !== undefined) return lock;
    }
  }

  /** @throws {SandboxError} `StateUnusable` */
  write(cached: CachedAttachment): void {
    writeFileAtomic(
      this.#path(cached),
      new TextEncoder().encode(formatCachedAttachment(cached)),
    );
  }

  /**
   * What is noted of an attachment; undefined when there is nothing, or nothing that can be read.
   *
   * @throws {SandboxError} `StateUnusable`
   */
  read(key: Key): CachedAttachment | undefined {
    const found = this.#read(cacheFileName(key));
    const isIt = found?.networkName === key.networkName &&
      found.containerId === key.containerId && found.ifName === key.ifName;
    return isIt ? found : undefined;
  }

  /** Absent is fine. */
  remove(key: Key): void {
    removeFile(this.#path(key));
    removeFile(this.temporaryFile(key));
  }

  /** Where an attachment's file is written before it is in its place: what a killed process leaves. */
  temporaryFile(key: Key): string {
    return this.#path(key) + UNFINISHED;
  }

  /**
   * All that is attached and can be read, whoever has attached it.
   *
   * @throws {SandboxError} `StateUnusable`
   */
  list(): CachedAttachment[] {
    let names: string[];
    try {
      names = readDirectory(this.#results).map(({ name }) => name).sort();
    } catch (error) {
      if (isSyscallError(error, Errno.ENOENT)) return [];
      throw unusable(this.#results, error);
    }
    return names.flatMap((name) => {
      const cached = this.#read(name);
      // What a crash left half written has the name of another file.
      return cached !== undefined && cacheFileName(cached) === name
        ? [cached]
        : [];
    });
  }

  #path(key: Key): string {
    return `${this.#results}/${cacheFileName(key)}`;
  }

  #read(name: string): CachedAttachment | undefined {
    try {
      return parseCachedAttachment(
        readTextFile(`${this.#results}/${name}`, {
          maxBytes: MAX_BYTES,
          flags: O_NOFOLLOW | O_NONBLOCK,
        }),
      );
    } catch (error) {
      if (error instanceof CniError || isNoFile(error)) return undefined;
      throw unusable(this.#results, error);
    }
  }
}

function isNoFile(error: unknown): boolean {
  return isSyscallError(
    error,
    Errno.ENOENT,
    Errno.EISDIR,
    Errno.ELOOP,
    Errno.EFBIG,
    Errno.ENXIO,
  );
}

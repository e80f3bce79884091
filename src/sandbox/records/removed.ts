/**
 * Sandboxes that are removed, and of which only the namespace and the files have still to go: `<node>/removed/<link>/`,
 * named after the sandbox's link, whose name is random.
 *
 * What is here only goes, and whoever takes it away may be killed or have company at any step: so no lock is needed. There
 * is one all the same, shared by the processes that have something here and take it away in time: nobody else does
 * meanwhile, who would give it to the kernel all at once.
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import {
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  open,
  rename,
} from "../../../ffi/file.ts";
import { tryLock } from "../../../ffi/file_lock.ts";
import { unpinChecked } from "../../namespace/pin.ts";
import {
  directoriesIn,
  ensureDirectory,
  isDirectory,
  removeWith,
} from "../../state/directory.ts";
import { removeIfEmpty, unusable } from "../../state/store.ts";
import { DNS_FILES } from "./dns.ts";
import { isRefusal, PIN, removePinned } from "./pinned_directory.ts";
import { orIgnore } from "./undo.ts";

/** How often others may take the directory away between its making and its use. */
const ATTEMPTS = 10;

const DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

/** See the module. The directory is there only while something is in it, so that one question tells that nothing is. */
export class RemovedSandboxes {
  readonly #directory: string;
  /** The directory, locked, from when this process has put something there. Others may have removed it. */
  #held: OwnedFd | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Moves the directory of a sandbox here, in one step. The pin that is mounted in it comes along, in every mount namespace.
   *
   * @returns false when that cannot be done, and nothing was
   */
  add(sandbox: string, name: string): boolean {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        this.#held ??= this.#hold();
        rename(sandbox, this.#path(name));
        return true;
      } catch (error) {
        // Whether others of this process are here or not: it is a courtesy.
        this.#letGo();
        if (!isRefusal(error)) throw error;
        if (!isSyscallError(error, Errno.ENOENT)) return false;
      }
    }
    return false;
  }

  /** The names of those that are here. */
  names(): string[] {
    return directoriesIn(this.#directory);
  }

  /** Keeps the namespace of one from being destroyed, if it can be had; the caller owns the descriptor. */
  hold(name: string): OwnedFd | undefined {
    try {
      const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
      return open(`${this.#path(name)}/${PIN}`, flags);
    } catch (error) {
      if (error instanceof SyscallError) return undefined;
      throw error;
    }
  }

  /**
   * Takes one away; what cannot be taken away is left for the next who tries.
   *
   * @param isChecked whether it was found to have its pin when it was moved here: saves 30 µs
   */
  finish(name: string, isChecked = false): void {
    const directory = this.#path(name);
    const pin = `${directory}/${PIN}`;
    if (isChecked && unpinChecked(pin) && removeWith(directory, DNS_FILES)) {
      return;
    }
    removePinned(directory);
  }

  /**
   * Takes away at once what dead processes have left here.
   *
   * @param options `isAll`: also what the living have here, by whoever has the node alone
   * @throws {SandboxError} `StateUnusable`
   */
  finishAll({ isAll = false }: { readonly isAll?: boolean } = {}): void {
    // Mostly there is none. What else somebody has put there is no reason to fail, for anybody but who lists it.
    if (!isDirectory(this.#directory)) return;
    using alone = isAll ? undefined : this.#lockAlone();
    if (!isAll && alone === undefined) return;
    for (const name of this.names()) this.finish(name);
    removeIfEmpty(this.#directory);
  }

  /** Removes the directory, unless there is something in it. This process has nothing here any more. */
  close(): void {
    this.#letGo();
    removeIfEmpty(this.#directory);
  }

  #hold(): OwnedFd {
    ensureDirectory(this.#directory);
    const directory = open(this.#directory, DIRECTORY);
    // Who takes away what a dead process left has it alone for a moment: nothing is lost without it.
    orIgnore(() => tryLock(directory, "shared"));
    return directory;
  }

  #letGo(): void {
    this.#held?.[Symbol.dispose]();
    this.#held = undefined;
  }

  /** Undefined when a process that lives has something here, or nobody has. */
  #lockAlone(): OwnedFd | undefined {
    let directory: OwnedFd | undefined;
    try {
      directory = open(this.#directory, DIRECTORY);
      if (tryLock(directory, "exclusive")) return directory;
    } catch (error) {
      directory?.[Symbol.dispose]();
      if (isSyscallError(error, Errno.ENOENT)) return undefined;
      throw unusable(this.#directory, error);
    }
    directory[Symbol.dispose]();
    return undefined;
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`;
  }
}

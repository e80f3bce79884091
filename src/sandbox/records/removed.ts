/**
 * Sandboxes that are removed, and of which only the namespace and the files have still to go: `<node>/removed/<link>/`,
 * named after the sandbox's link, whose name is random.
 *
 * What is here only goes, and whoever takes it away may be killed or have company at any step: so no lock is needed.
 *
 * @module
 */
import { Errno, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import {
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  open,
  rename,
} from "../../../ffi/file.ts";
import { unpinChecked } from "../../namespace/pin.ts";
import {
  directoriesIn,
  ensureDirectory,
  present,
  removeWith,
} from "../../state/directory.ts";
import { removeIfEmpty } from "../../state/store.ts";
import { DNS_FILES } from "./dns.ts";
import { isRefusal, PIN, removePinned } from "./pinned_directory.ts";

/** How often others may take the directory away between its making and its use. */
const ATTEMPTS = 10;

/** See the module. The directory is there only while something is in it, so that one question tells that nothing is. */
export class RemovedSandboxes {
  readonly #directory: string;
  /** As far as this process knows; others may have removed it. */
  #isMade = false;

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
        if (!this.#isMade) ensureDirectory(this.#directory);
        this.#isMade = true;
        rename(sandbox, this.#path(name));
        return true;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        if (!isSyscallError(error, Errno.ENOENT)) return false;
        this.#isMade = false;
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

  /** Takes all away, whoever put them here. */
  finishAll(): void {
    if (!present(this.#directory)) return;
    for (const name of this.names()) this.finish(name);
    this.close();
  }

  /** Removes the directory, unless there is something in it. */
  close(): void {
    this.#isMade = false;
    removeIfEmpty(this.#directory);
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`;
  }
}

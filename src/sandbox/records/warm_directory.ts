/**
 * Directories of sandboxes that are nobody's yet: `<node>/warm/<pool>/<one>/`, each with the pin and the files that a
 * sandbox will have. Renamed, it is the directory of a sandbox, and its lock with it.
 *
 * A pool is of one process. What a dead one left holds namespaces, and is removed by the next who has a pool there, by
 * garbage collection, and with the node.
 *
 * @module
 */
import { Errno, SyscallError } from "../../../ffi/errno.ts";
import { writeAll } from "../../../ffi/file.ts";
import { renameToNew } from "../../../ffi/rename_to_new.ts";
import { utf8 } from "../../../ffi/buffer.ts";
import type { OwnedFd } from "../../../ffi/fd.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { isPinOf } from "../../namespace/pin.ts";
import { directoriesIn, isDirectory } from "../../state/directory.ts";
import { eachAbandoned, OwnDirectory } from "../../state/own_directory.ts";
import { makeFile, removeIfEmpty, writeNewFile } from "../../state/store.ts";
import { DNS_FILES, HOSTS, resolvConf, type Resolver } from "./dns.ts";
import { PIN, removePinned } from "./pinned_directory.ts";
import { NOTE } from "./sandbox_records.ts";

/** See the module. Until it is moved, disposing it removes it. */
export class WarmDirectory implements Disposable {
  /** Whose resolv.conf it has. */
  readonly resolver: Resolver;
  /** With its beginning. */
  readonly hosts: OwnedFd;
  /** The empty file of the sandbox's note. */
  readonly note: OwnedFd;
  readonly #own: OwnDirectory;
  readonly #namespaceId: string;
  readonly #made: DisposableStack;
  #isMoved = false;

  private constructor(
    own: OwnDirectory,
    namespaceId: string,
    files: Pick<WarmDirectory, "resolver" | "hosts" | "note">,
    made: DisposableStack,
  ) {
    this.#own = own;
    this.#namespaceId = namespaceId;
    this.#made = made;
    this.resolver = files.resolver;
    this.hosts = files.hosts;
    this.note = files.note;
  }

  /**
   * Makes one in a pool.
   *
   * @throws {SandboxError} `StateUnusable`, `NotPermitted`
   * @throws {SyscallError}
   */
  static make(
    pool: OwnDirectory,
    namespace: NetworkNamespace,
    resolver: Resolver,
  ): WarmDirectory {
    using made = new DisposableStack();
    const own = made.use(OwnDirectory.make(pool.path));
    const { path } = own;
    made.defer(() => removePinned(path));
    const [resolvFile, hostsFile] = DNS_FILES;
    const text = utf8(resolvConf({}, resolver));
    writeNewFile(`${path}/${resolvFile}`, text, 0o644);
    const hosts = made.use(makeFile(`${path}/${hostsFile}`, 0o644));
    writeAll(hosts, utf8(HOSTS));
    const note = made.use(makeFile(`${path}/${NOTE}`, 0o600));
    namespace.pin(`${path}/${PIN}`);
    const files = { resolver, hosts, note };
    return new WarmDirectory(own, namespace.id, files, made.move());
  }

  /**
   * Makes it the directory of a sandbox, which is locked then as long as this is not disposed: two system calls instead of
   * eleven, 60 µs.
   *
   * @returns `refused` when the sandbox has a directory, or this file system cannot tell; `lost` when somebody has taken this
   * one away, or its pin
   */
  moveTo(directory: string): "moved" | "refused" | "lost" {
    const { path } = this.#own;
    try {
      if (!isPinOf(`${path}/${PIN}`, this.#namespaceId)) return "lost";
      renameToNew(path, directory);
      this.#isMoved = true;
      return "moved";
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      return error.errno === Errno.ENOENT ? "lost" : "refused";
    }
  }

  [Symbol.dispose](): void {
    if (!this.#isMoved) return this.#made.dispose();
    this.#own.unlock();
    this.hosts[Symbol.dispose]();
    this.note[Symbol.dispose]();
  }
}

/** The pins of all of them, whose processes may be dead or alive. */
export function warmPins(directory: string): string[] {
  if (!isDirectory(directory)) return [];
  return directoriesIn(directory).flatMap((pool) =>
    directoriesIn(`${directory}/${pool}`)
      .map((name) => `${directory}/${pool}/${name}/${PIN}`)
  );
}

/**
 * Removes what dead processes left in `<node>/warm`.
 *
 * @param options `isAll`: also what is of the living, by whoever has the node alone
 * @returns the paths of what there was
 */
export function removeWarmDirectories(
  directory: string,
  { isAll = false, dryRun = false }: {
    readonly isAll?: boolean;
    readonly dryRun?: boolean;
  } = {},
): string[] {
  const found: string[] = [];
  // What is something else goes with the node.
  if (isAll && !isDirectory(directory)) return found;
  eachAbandoned(directory, (pool) => {
    // Of a living process it may go meanwhile.
    for (const name of directoriesIn(pool)) {
      found.push(`${pool}/${name}`);
      if (!dryRun) removePinned(`${pool}/${name}`);
    }
    if (!dryRun) removeIfEmpty(pool);
  }, isAll);
  if (!dryRun) removeIfEmpty(directory);
  return found;
}

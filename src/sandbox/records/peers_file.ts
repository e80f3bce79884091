/**
 * Where a node keeps what it knows of other nodes: a record in a directory, which is the lock of those who change it.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/fd.ts";
import { NO_PEERS, type NodePeers, samePeers } from "../../hostport/peers.ts";
import { ensureDirectory, removeDirectory } from "../../state/directory.ts";
import { acquireLock } from "../../state/lock.ts";
import {
  MAX_CLUSTER_RECORD_BYTES,
  readRecord,
  removeFile,
  UNFINISHED,
  writeRecord,
} from "../../state/store.ts";
import { versionOf } from "../../state/version.ts";
import { peersRecord } from "./records.ts";

/** The record of other nodes. */
export class PeersFile {
  readonly #directory: string;
  #known: { readonly version: string; readonly peers: NodePeers } | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * What was written last, or that there is nobody. Read only when the file has changed.
   *
   * @throws {SandboxError} `RecordInvalid`
   */
  read(): NodePeers {
    const version = versionOf(this.#record);
    if (version === undefined) return NO_PEERS;
    if (this.#known?.version !== version) {
      const peers =
        readRecord(peersRecord, this.#record, MAX_CLUSTER_RECORD_BYTES) ??
          NO_PEERS;
      this.#known = { version, peers };
    }
    return this.#known.peers;
  }

  /** Locks it for one who changes it, who shares the node's lock already. */
  async lock(): Promise<OwnedFd> {
    for (;;) {
      ensureDirectory(this.#directory);
      const lock = await acquireLock(this.#directory, "exclusive");
      if (lock !== undefined) return lock;
    }
  }

  /** Writes it; the caller has locked it. Of a node alone there is none, nor what a crash left of one. */
  write(peers: NodePeers): void {
    if (!samePeers(peers, NO_PEERS)) {
      writeRecord(peersRecord, this.#record, peers, MAX_CLUSTER_RECORD_BYTES);
      const version = versionOf(this.#record);
      this.#known = version === undefined ? undefined : { version, peers };
      return;
    }
    removeFile(this.#record);
    removeFile(this.#record + UNFINISHED);
  }

  /** Forgets them, and the lock; the caller has the node alone. */
  remove(): void {
    removeDirectory(this.#directory);
  }

  get #record(): string {
    return `${this.#directory}/record.cbor`;
  }
}

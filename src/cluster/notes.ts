/**
 * What a node of a cluster is noted in, for other processes:
 *
 * ```text
 * <stateDir>/.cluster/<node>/lock           held by the process that keeps the node in its cluster
 *                            status.cbor    how it stands
 *                            members.cbor   who else is there
 * ```
 *
 * @module
 */
import * as v from "valibot";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import {
  O_CREAT,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  open,
} from "../../ffi/file.ts";
import type { OwnedFd } from "../../ffi/fd.ts";
import { isSandboxError, SandboxError } from "../errors.ts";
import { present, removeDirectory } from "../state/directory.ts";
import { acquireLock } from "../state/lock.ts";
import type { RecordKind } from "../state/record.ts";
import {
  ensurePrivateDirectory,
  MAX_CLUSTER_RECORD_BYTES,
  readRecord,
  removeFile,
  removeIfEmpty,
  unusable,
  writeRecord,
} from "../state/store.ts";
import type { ClusterMember } from "./member.ts";
import { PATH_BACKENDS } from "./path_options.ts";
import type { RefusedMember } from "./roster.ts";
import type { ClusterSettings } from "./settings.ts";
import type { MembershipState } from "./state.ts";

/** What is noted of how a node stands. */
export interface StatusNote {
  /** Name of the node. */
  readonly node: string;
  /** Name of the cluster. */
  readonly cluster: string;
  /** Where the cluster is kept, for people. */
  readonly store: string;
  /** How it stands. */
  readonly state: MembershipState;
  /** RFC 3339. */
  readonly since: string;
  /** Why it is not `ready`. */
  readonly reason?: string;
  /** What the others see of the node. */
  readonly self: ClusterMember;
  /** What all nodes agree on. */
  readonly settings: ClusterSettings;
  /** How many other nodes are there. */
  readonly others: number;
  /** The first of those that are refused. */
  readonly refused: readonly RefusedMember[];
  /** Why paths could not be made. */
  readonly failure?: string;
}

const texts = v.array(v.string());

const member = v.object({
  name: v.string(),
  podCidrs: texts,
  addresses: texts,
  vxlan: v.exactOptional(
    v.object({ vni: v.number(), port: v.number(), mac: v.string() }),
  ),
  wireguard: v.exactOptional(
    v.object({ publicKey: v.string(), port: v.number() }),
  ),
});

const statusNote: RecordKind<StatusNote> = {
  kind: "membership",
  version: 1,
  schema: v.object({
    node: v.string(),
    cluster: v.string(),
    store: v.string(),
    state: v.picklist([
      "joining",
      "ready",
      "disconnected",
      "expired",
      "left",
    ]),
    since: v.string(),
    reason: v.exactOptional(v.string()),
    self: member,
    settings: v.object({
      podCidrs: texts,
      nodePrefixLength4: v.number(),
      nodePrefixLength6: v.number(),
      backend: v.picklist(PATH_BACKENDS),
      vni: v.number(),
      vxlanPort: v.number(),
    }),
    others: v.number(),
    refused: v.array(v.object({ name: v.string(), reason: v.string() })),
    failure: v.exactOptional(v.string()),
  }),
};

const membersNote: RecordKind<readonly ClusterMember[]> = {
  kind: "members",
  version: 1,
  schema: v.array(member),
};

/** How long a process that only looks may have the lock. */
const LOCK_TIMEOUT_MS = 1000;

/** The notes of one node. */
export class ClusterNotes {
  /** Of the node. */
  readonly name: string;
  readonly #parent: string;
  readonly #directory: string;
  readonly #lock: string;

  /** Touches nothing. The name is checked. */
  constructor(stateDir: string, name: string) {
    this.name = name;
    this.#parent = `${stateDir}/.cluster`;
    this.#directory = `${this.#parent}/${name}`;
    this.#lock = `${this.#directory}/lock`;
  }

  /**
   * Becomes the process that keeps the node in its cluster, until the result is disposed.
   *
   * @throws {SandboxError} `MembershipInUse`, `StateUnusable`
   */
  async lock(): Promise<OwnedFd> {
    const made = ensurePrivateDirectory(this.#directory);
    try {
      // Removed in between by one that left.
      return await this.#tryLock() ?? await this.lock();
    } catch (error) {
      if (made.includes(this.#directory)) {
        removeFile(this.#lock);
        for (const path of made.reverse()) removeIfEmpty(path);
      }
      throw error;
    }
  }

  async #tryLock(): Promise<OwnedFd | undefined> {
    try {
      // O_NONBLOCK: opening a FIFO would wait for its writer.
      const flags = O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
      open(this.#lock, flags, 0o600)[Symbol.dispose]();
    } catch (error) {
      if (isSyscallError(error, Errno.ENOENT)) return undefined;
      throw unusable(this.#lock, error);
    }
    try {
      return await acquireLock(this.#lock, "exclusive", {
        timeoutMs: LOCK_TIMEOUT_MS,
      });
    } catch (error) {
      if (!isSandboxError(error, "Timeout")) throw error;
      const { holder } = error.context;
      throw new SandboxError("MembershipInUse", {
        name: this.name,
        ...holder !== undefined && { holder },
      }, { cause: error });
    }
  }

  /** Whether there are any. */
  exist(): boolean {
    return present(this.#directory);
  }

  /** Whether some process keeps the node in its cluster. */
  async isKept(): Promise<boolean> {
    try {
      using _lock = await acquireLock(this.#lock, "shared", {
        timeoutMs: 0,
      });
      return false;
    } catch (error) {
      if (isSandboxError(error, "Timeout")) return true;
      throw error;
    }
  }

  /**
   * How the node stands; undefined for one of no cluster.
   *
   * @throws {SandboxError} `RecordInvalid`
   */
  readStatus(): StatusNote | undefined {
    return readRecord(statusNote, `${this.#directory}/status.cbor`);
  }

  /** Notes how it stands. */
  writeStatus(status: StatusNote): void {
    writeRecord(statusNote, `${this.#directory}/status.cbor`, status);
  }

  /**
   * Who else is there.
   *
   * @throws {SandboxError} `RecordInvalid`
   */
  readMembers(): readonly ClusterMember[] {
    return readRecord(
      membersNote,
      `${this.#directory}/members.cbor`,
      MAX_CLUSTER_RECORD_BYTES,
    ) ?? [];
  }

  /** Notes who else is there. */
  writeMembers(members: readonly ClusterMember[]): void {
    const path = `${this.#directory}/members.cbor`;
    writeRecord(membersNote, path, members, MAX_CLUSTER_RECORD_BYTES);
  }

  /** Removes the notes; the caller holds the lock. */
  remove(): void {
    removeDirectory(this.#directory, ["lock"]);
    removeIfEmpty(this.#parent);
  }
}

/**
 * A cluster kept in a file that people write, the same on each node: for a lab, or two machines.
 *
 * @module
 */
import { SyscallError } from "../../ffi/errno.ts";
import { O_NONBLOCK, readTextFile } from "../../ffi/file.ts";
import { SandboxError } from "../errors.ts";
import { rememberedCidr } from "../net/remembered.ts";
import { isObject } from "../spec/problems.ts";
import { versionOf } from "../state/version.ts";
import {
  type CallOptions,
  type Claim,
  type ClusterStore,
  type Lease,
  type Reservation,
  type StoreChange,
  type StoredMember,
  StoreError,
  type StoreListing,
  type StoreUpdate,
} from "./store.ts";
import { pause } from "./wait.ts";

/** How often the file is looked at. */
const POLL_MS = 500;

/**
 * The table of a file. All nodes in it count as there, and nobody's lease ever ends but by leaving the table.
 *
 * ```json
 * {
 *   "podCidrs": ["10.244.0.0/16"],
 *   "nodes": [
 *     { "name": "node-a", "podCidrs": ["10.244.1.0/24"], "addresses": ["192.0.2.1"] },
 *     { "name": "node-b", "podCidrs": ["10.244.2.0/24"], "addresses": ["192.0.2.2"] }
 *   ]
 * }
 * ```
 */
export class StaticStore implements ClusterStore {
  readonly description: string;
  readonly #path: string;
  readonly #disposed = new AbortController();
  /** How often {@linkcode StaticStore.#read} found something new. */
  #count = 0;
  #version: string | undefined;
  #listing: StoreListing | undefined;

  /**
   * Reads nothing yet.
   *
   * @param path of the file, absolute
   */
  constructor(path: string) {
    this.#path = path;
    this.description = path;
  }

  /** Ends its watches. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort(new StoreError("unreachable", "it was closed"));
    return Promise.resolve();
  }

  list({ signal }: CallOptions = {}): Promise<StoreListing> {
    return Promise.try(() => {
      signal?.throwIfAborted();
      return this.#read();
    });
  }

  /** What the file says now; it is read again only when it has changed. */
  #read(): StoreListing {
    const version = attempt(this.#path, () => versionOf(this.#path));
    if (version === undefined) {
      throw refused(this.#path, "there is no such file");
    }
    if (this.#listing !== undefined && version === this.#version) {
      return this.#listing;
    }
    // O_NONBLOCK: opening a FIFO would wait for its writer.
    const text = attempt(
      this.#path,
      () => readTextFile(this.#path, { flags: O_NONBLOCK }),
    );
    const table = parseTable(this.#path, text);
    this.#version = version;
    return this.#listing = listingOf(table, this.#listing, `${++this.#count}`);
  }

  async *watch(
    revision: string,
    { signal }: CallOptions = {},
  ): AsyncGenerator<StoreUpdate, void, undefined> {
    signal?.throwIfAborted();
    let known = this.#listing;
    if (known?.revision !== revision) {
      throw new StoreError("gap", `${this.#path} has changed`);
    }
    // Says that it cannot be read before it says that it is.
    this.#read();
    yield { revision, changes: [] };
    for (;;) {
      const now = this.#read();
      if (now !== known) {
        const changes = changesBetween(known, now);
        known = now;
        yield { revision: now.revision, changes };
      }
      await pause(POLL_MS, this.#disposed.signal, signal);
      signal?.throwIfAborted();
      this.#disposed.signal.throwIfAborted();
    }
  }

  claim(
    { name, podCidrs, settings }: Claim,
    { signal }: CallOptions = {},
  ): Promise<Lease | undefined> {
    return Promise.try(() => {
      signal?.throwIfAborted();
      const now = this.#read();
      const own = now.reservations.filter(({ owner }) => owner === name);
      if (!now.members.some((member) => member.name === name)) {
        throw refused(this.#path, `it has no node "${name}": add it`);
      }
      const isSo = now.settings?.text === settings &&
        own.length === podCidrs.length &&
        own.every(({ podCidr }) => podCidrs.includes(podCidr));
      return isSo ? { id: name, ttlMs: Infinity } : undefined;
    });
  }

  renew(
    lease: Lease,
    { signal }: CallOptions = {},
  ): Promise<Lease | undefined> {
    return Promise.try(() => {
      signal?.throwIfAborted();
      return this.#read().members.some(({ name }) => name === lease.id)
        ? lease
        : undefined;
    });
  }

  /** Does nothing: the file is other people's. */
  release(): Promise<void> {
    return Promise.resolve();
  }
}

/** What such a file says. */
export interface Table {
  readonly settings: string;
  /** The texts of the nodes by name, in the order of the file. */
  readonly members: ReadonlyMap<string, string>;
  readonly owners: ReadonlyMap<string, string>;
}

/**
 * Only what a store has to understand: what settings and members say is not its business.
 *
 * @throws {StoreError} `refused`
 */
export function parseTable(path: string, text: string): Table {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw refused(path, `it is no JSON: ${(error as Error).message}`);
  }
  if (!isObject(file) || !Array.isArray(file["nodes"])) {
    throw refused(path, 'write an object with a list "nodes"');
  }
  const { nodes, ...settings } = file;
  const members = new Map<string, string>();
  const owners = new Map<string, string>();
  for (const node of nodes as readonly unknown[]) {
    if (!isObject(node) || typeof node["name"] !== "string") {
      throw refused(path, 'each of "nodes" is an object with a "name"');
    }
    const { name } = node;
    if (members.has(name)) throw refused(path, `"${name}" is there twice`);
    const podCidrs = Array.isArray(node["podCidrs"])
      ? node["podCidrs"].map((cidr) => canonical(String(cidr)))
      : [];
    const own = podCidrs.length === 0 ? {} : { podCidrs };
    members.set(name, JSON.stringify({ ...node, ...own }));
    for (const cidr of podCidrs) {
      const owner = owners.get(cidr);
      if (owner !== undefined) {
        throw refused(path, `${cidr} is of "${owner}" and of "${name}"`);
      }
      owners.set(cidr, name);
    }
  }
  return { settings: JSON.stringify(settings), members, owners };
}

/** The text of a network that others are compared with; what is none is told by whoever needs one. */
function canonical(podCidr: string): string {
  try {
    return rememberedCidr(podCidr).text;
  } catch (error) {
    if (error instanceof RangeError) return podCidr;
    throw error;
  }
}

/** A listing in which what has not changed keeps its revision. */
function listingOf(
  { settings, members, owners }: Table,
  before: StoreListing | undefined,
  revision: string,
): StoreListing {
  const texts = new Map(before?.members.map((m) => [m.name, m]));
  const networks = new Map(before?.reservations.map((r) => [r.podCidr, r]));
  return {
    revision,
    settings: before?.settings?.text === settings
      ? before.settings
      : { text: settings, revision },
    members: [...members].map(([name, text]) => {
      const known = texts.get(name);
      return known?.text === text ? known : { name, text, revision };
    }),
    reservations: [...owners].map(([podCidr, owner]) => {
      const known = networks.get(podCidr);
      return known?.owner === owner ? known : { podCidr, owner, revision };
    }),
  };
}

function changesBetween(
  before: StoreListing,
  now: StoreListing,
): StoreChange[] {
  const gone = <T>(
    a: readonly T[],
    b: readonly T[],
    key: (of: T) => string,
  ) => {
    const kept = new Set(b.map(key));
    return a.map(key).filter((name) => !kept.has(name));
  };
  const name = (member: StoredMember) => member.name;
  const cidr = (reservation: Reservation) => reservation.podCidr;
  // Not by the revision: the file may have been read several times since.
  const texts = new Map(before.members.map((m) => [m.name, m.text]));
  const owners = new Map(before.reservations.map((r) => [r.podCidr, r.owner]));
  return [
    ...now.settings !== undefined && now.settings.text !== before.settings?.text
      ? [{ kind: "settings" as const, now: now.settings }]
      : [],
    ...gone(before.members, now.members, name).map((name) => ({
      kind: "member" as const,
      name,
    })),
    ...gone(before.reservations, now.reservations, cidr).map((podCidr) => ({
      kind: "reservation" as const,
      podCidr,
    })),
    ...now.reservations.filter((r) => owners.get(r.podCidr) !== r.owner)
      .map((now) => ({
        kind: "reservation" as const,
        podCidr: now.podCidr,
        now,
      })),
    ...now.members.filter((m) => texts.get(m.name) !== m.text)
      .map((now) => ({ kind: "member" as const, name: now.name, now })),
  ];
}

function refused(path: string, reason: string): StoreError {
  return new StoreError("refused", `${path}: ${reason}`);
}

function attempt<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SyscallError || error instanceof SandboxError) {
      throw new StoreError("refused", `${path}: ${error.message}`, error);
    }
    throw error;
  }
}

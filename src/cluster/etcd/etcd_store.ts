/**
 * A cluster kept in etcd.
 *
 * @module
 */
import {
  type CallOptions,
  type Claim,
  type ClusterStore,
  isStoreError,
  type Lease,
  type Reservation,
  type StoreChange,
  type StoredMember,
  type StoredText,
  StoreError,
  type StoreListing,
  type StoreUpdate,
} from "../store.ts";
import { EtcdGateway } from "./gateway.ts";
import { ClusterKeys } from "./keys.ts";
import type { EtcdOptions } from "./options.ts";
import {
  decode,
  grantResponse,
  keepAliveResponse,
  prefixEnd,
  type RangeResponse,
  rangeResponse,
  toBase64,
  txnResponse,
  watchResponse,
} from "./wire.ts";

/** Keys of one answer of a listing: some 400 KB. */
const PAGE = 1000;
/**
 * How long a watch may be silent before it is made anew from where it was: etcd tells every ten minutes that nothing has
 * happened. A connection that is dead is found out within minutes by the kernel's probes, which the runtime asks for.
 */
const SILENCE_MS = 11 * 60_000;
/** Of a transaction, as etcd allows (--max-txn-ops). */
const MAX_OPERATIONS = 128;

/** How long leases are, and the like. */
export interface EtcdStoreOptions extends EtcdOptions {
  /** Name of the cluster. */
  readonly cluster: string;
  /** How long a lease is good for after it was renewed, in seconds. etcd may make it longer. */
  readonly leaseSeconds: number;
}

/** A cluster in etcd. */
export class EtcdStore implements ClusterStore {
  readonly description: string;
  readonly #gateway: EtcdGateway;
  readonly #keys: ClusterKeys;
  readonly #leaseSeconds: number;

  /** Opens nothing yet. The options are checked. */
  constructor(options: EtcdStoreOptions) {
    this.#gateway = new EtcdGateway(options);
    this.#keys = new ClusterKeys(options.prefix ?? "/podnet", options.cluster);
    this.#leaseSeconds = options.leaseSeconds;
    this.description = `etcd at ${this.#gateway.description}`;
  }

  /** Closes its connections. Leases stay as they are. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#gateway[Symbol.dispose]();
    return Promise.resolve();
  }

  async list({ signal }: CallOptions = {}): Promise<StoreListing> {
    for (;;) {
      try {
        return await this.#list(signal);
      } catch (error) {
        // Compacted between two pages.
        if (!isStoreError(error, "gap")) throw error;
      }
    }
  }

  async #list(signal: AbortSignal | undefined): Promise<StoreListing> {
    const end = prefixEnd(this.#keys.root);
    const changes: StoreChange[] = [];
    let revision: string | undefined;
    for (let key: string | undefined = this.#keys.root; key !== undefined;) {
      const page: RangeResponse = decode(
        rangeResponse,
        await this.#gateway.call("kv/range", {
          key: toBase64(key),
          range_end: end,
          limit: PAGE,
          ...revision !== undefined && { revision },
        }, signal),
      );
      revision ??= page.header.revision;
      changes.push(
        ...page.kvs.map((kv) => this.#keys.change(kv, false))
          .filter((change) => change !== undefined),
      );
      const last = page.kvs.at(-1)?.key;
      // The key right after it.
      key = page.more && last !== undefined ? `${last}\0` : undefined;
    }
    return listing(revision ?? "0", changes);
  }

  async *watch(
    from: string,
    { signal }: CallOptions = {},
  ): AsyncGenerator<StoreUpdate, void, undefined> {
    let revision = BigInt(from);
    for (;;) {
      const messages = this.#gateway.stream(
        "watch",
        {
          create_request: {
            key: toBase64(this.#keys.root),
            range_end: prefixEnd(this.#keys.root),
            start_revision: `${revision + 1n}`,
            progress_notify: true,
          },
        },
        signal,
        SILENCE_MS,
      );
      for await (const message of messages) {
        const told = decode(watchResponse, message);
        if ("error" in told) {
          throw new StoreError("unreachable", told.error.message);
        }
        const { result } = told;
        if (result.compact_revision !== "0") {
          throw new StoreError(
            "gap",
            `${this.description} has forgotten what happened since revision ${revision}`,
          );
        }
        if (result.canceled) {
          throw new StoreError(
            "unreachable",
            `${this.description} ended the watch: ${result.cancel_reason}`,
          );
        }
        if (result.created) {
          // An etcd without its data, or with older data, would wait until it comes to that revision again.
          if (BigInt(result.header.revision) < revision) {
            throw new StoreError(
              "lost",
              `${this.description} is at revision ${result.header.revision}, and was at ${revision}`,
            );
          }
          // Of the revisions until now it is still to tell.
          yield { revision: `${revision}`, changes: [] };
          continue;
        }
        const changes = result.events.map(({ type, kv }) =>
          this.#keys.change(kv, type === "DELETE")
        ).filter((change) => change !== undefined);
        // All events of a revision are in one message. One without any tells how far it has come.
        const now = result.events.at(-1)?.kv.mod_revision ??
          result.header.revision;
        revision = BigInt(now);
        yield { revision: now, changes };
      }
    }
  }

  async claim(
    claim: Claim,
    { signal }: CallOptions = {},
  ): Promise<Lease | undefined> {
    const lease = await this.#grant(signal);
    const key = this.#keys.member(claim.name);
    const answer = decode(
      txnResponse,
      await this.#gateway.call("kv/txn", {
        ...transaction(this.#keys, claim, lease.id),
        failure: [{ request_range: { key: toBase64(key) } }],
      }, signal),
    );
    const [{ response_range } = {}] = answer.responses;
    // Asked twice, because the first answer was lost.
    const isDone = answer.succeeded ||
      response_range?.kvs.some((kv) => kv.lease === lease.id);
    if (isDone) return lease;
    await this.#revoke(lease, signal);
    return undefined;
  }

  async #grant(signal: AbortSignal | undefined): Promise<Lease> {
    const { ID, TTL } = decode(
      grantResponse,
      await this.#gateway.call(
        "lease/grant",
        { TTL: `${this.#leaseSeconds}` },
        signal,
      ),
    );
    return { id: ID, ttlMs: Number(TTL) * 1000 };
  }

  async renew(
    lease: Lease,
    { signal }: CallOptions = {},
  ): Promise<Lease | undefined> {
    const { result: { TTL } } = decode(
      keepAliveResponse,
      await this.#gateway.call("lease/keepalive", { ID: lease.id }, signal),
    );
    const ttlMs = Number(TTL) * 1000;
    return ttlMs > 0 ? { ...lease, ttlMs } : undefined;
  }

  async release(
    lease: Lease,
    { name, podCidrs }: Pick<Claim, "name" | "podCidrs">,
    { signal }: CallOptions = {},
  ): Promise<void> {
    for (const podCidr of podCidrs) {
      const key = toBase64(this.#keys.network(podCidr));
      // Not what somebody else holds under this name by now.
      await this.#gateway.call("kv/txn", {
        compare: [
          { key, target: "VALUE", value: toBase64(name) },
          {
            key: toBase64(this.#keys.member(name)),
            target: "LEASE",
            lease: lease.id,
          },
        ],
        success: [{ request_delete_range: { key } }],
      }, signal);
    }
    await this.#revoke(lease, signal);
  }

  async #revoke(lease: Lease, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#gateway.call("lease/revoke", { ID: lease.id }, signal);
    } catch (error) {
      // It has ended already, or ends by itself.
      if (!isStoreError(error)) throw error;
    }
  }
}

/** What must be so, and what is to be, of a claim. */
function transaction(
  keys: ClusterKeys,
  { name, text, podCidrs, settings, basis }: Claim,
  lease: string,
): { readonly compare: unknown[]; readonly success: unknown[] } {
  const known = new Map(basis.reservations.map((r) => [r.podCidr, r]));
  const owners = new Set(
    podCidrs.map((cidr) => known.get(cidr)?.owner ?? name)
      .filter((owner) => owner !== name),
  );
  const surplus = basis.reservations.filter(({ owner, podCidr }) =>
    owner === name && !podCidrs.includes(podCidr)
  ).slice(0, MAX_OPERATIONS / 2);
  const member = basis.members.find((member) => member.name === name);
  return {
    compare: [
      basis.settings === undefined ? missing(keys.settings) : {
        key: toBase64(keys.settings),
        target: "VALUE",
        value: toBase64(settings),
      },
      unchanged(keys.member(name), member?.revision),
      ...podCidrs.map((cidr) =>
        unchanged(keys.network(cidr), known.get(cidr)?.revision)
      ),
      ...[...owners].map((owner) => missing(keys.member(owner))),
      ...surplus.map(({ podCidr, revision }) =>
        unchanged(keys.network(podCidr), revision)
      ),
    ],
    success: [
      ...basis.settings === undefined ? [put(keys.settings, settings)] : [],
      put(keys.member(name), text, lease),
      ...podCidrs.map((cidr) => put(keys.network(cidr), name)),
      ...surplus.map(({ podCidr }) => ({
        request_delete_range: { key: toBase64(keys.network(podCidr)) },
      })),
    ],
  };
}

function missing(key: string): unknown {
  return { key: toBase64(key), target: "CREATE", create_revision: "0" };
}

function unchanged(key: string, revision: string | undefined): unknown {
  return revision === undefined
    ? missing(key)
    : { key: toBase64(key), target: "MOD", mod_revision: revision };
}

function put(key: string, value: string, lease?: string): unknown {
  return {
    request_put: {
      key: toBase64(key),
      value: toBase64(value),
      ...lease !== undefined && { lease },
    },
  };
}

function listing(
  revision: string,
  changes: readonly StoreChange[],
): StoreListing {
  let settings: StoredText | undefined;
  const members: StoredMember[] = [];
  const reservations: Reservation[] = [];
  for (const change of changes) {
    if (change.kind === "settings") settings = change.now;
    else if (change.now === undefined) continue;
    else if (change.kind === "member") members.push(change.now);
    else reservations.push(change.now);
  }
  return {
    revision,
    ...settings !== undefined && { settings },
    members,
    reservations,
  };
}

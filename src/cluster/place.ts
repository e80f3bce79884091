/**
 * How a node gets its place in a cluster: settings, pod networks, lease.
 *
 * @module
 */
import { uptimeMs } from "../../ffi/process.ts";
import { SandboxError } from "../errors.ts";
import type { Cidr } from "../net/cidr.ts";
import { rememberedAddress, rememberedCidr } from "../net/remembered.ts";
import { cutOffBy } from "./cut_off.ts";
import { Limit } from "./limit.ts";
import type { ClusterMember } from "./member.ts";
import { readMember, writeMember } from "./record.ts";
import {
  type ClusterSettings,
  complete,
  differences,
  readSettings,
  type WantedSettings,
} from "./settings.ts";
import {
  type ClusterStore,
  isStoreError,
  type Lease,
  type StoredMember,
  type StoreError,
  type StoreListing,
} from "./store.ts";
import { chooseSubnets } from "./subnets.ts";
import { backoffMs, pause } from "./wait.ts";

/** Who wants a place. */
export interface PlaceWish {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Name of the node. */
  readonly name: string;
  /** What the cluster is to be, or is. */
  readonly wanted: WantedSettings;
  /** Networks that the node has set up. */
  readonly held: readonly string[];
  /** Networks that the node is on. */
  readonly networks: readonly string[];
  /** Addresses that it has to reach besides those of other nodes, and what has them. */
  readonly needed: ReadonlyMap<string, string>;
  /** The lease that the node had until now, when it is known. */
  readonly formerLease: string | undefined;
  /**
   * Sees what the store has before anything is asked of it.
   *
   * @throws {SandboxError} ends it
   */
  inspect?(basis: StoreListing): void;
  /**
   * What the node tells the others of itself, once the settings are known.
   *
   * @param addresses by which the others know it whatever it tells
   */
  endpoint(
    settings: ClusterSettings,
    addresses: readonly string[] | undefined,
  ): Omit<ClusterMember, "name" | "podCidrs">;
}

/** A node's place in a cluster. */
export interface Place {
  readonly settings: ClusterSettings;
  /** The text of the settings in the store. */
  readonly settingsText: string;
  readonly self: ClusterMember;
  /** By which the others know the node whatever it tells, as the store says. */
  readonly addresses?: readonly string[];
  readonly lease: Lease;
  /** When the lease ends, by `uptimeMs()`. */
  readonly endsAtMs: number;
}

/** A node of the name, or with an address, that is not this one may be about to end: this much longer than a lease is waited for it. */
const GRACE_MS = 5000;

/**
 * Takes a place. A node of the same name that is another one has the time of a lease to end.
 *
 * @throws {SandboxError} `ClusterConflict`, `InvalidSpec` when nobody has said what the cluster is to be, `NodeNameInUse`,
 * `NodeConflict`, `PodCidrInUse`, `PodCidrsExhausted`, `StoreRefused`; `StoreUnreachable` when the store is silent for too long
 */
export async function takePlace(
  store: ClusterStore,
  wish: PlaceWish,
  { signal: outer, leaseMs, timeoutMs }: {
    readonly signal?: AbortSignal;
    readonly leaseMs: number;
    readonly timeoutMs: number;
  },
): Promise<Place> {
  const nameUntil = uptimeMs() + leaseMs + GRACE_MS;
  using limit = new Limit(outer, timeoutMs);
  const { signal } = limit;
  let failures = 0;
  let last: StoreError | undefined;
  let refusedAt: string | undefined;
  for (;;) {
    try {
      const basis = await store.list({ signal });
      limit.restart(timeoutMs);
      wish.inspect?.(basis);
      const { settings, settingsText } = settle(store, basis, wish);
      const other = basis.members.find(({ name }) => name === wish.name);
      const given = other?.lease === undefined
        ? givenTo(store, other, settings)
        : undefined;
      const member = {
        name: wish.name,
        ...wish.endpoint(settings, given?.addresses),
      };
      const refusal = other !== undefined &&
          !isOwn(other, member, settings, wish)
        ? () =>
          new SandboxError("NodeNameInUse", {
            name: wish.name,
            cluster: wish.cluster,
            addresses: addressesOf(other, settings) ?? [],
          })
        // One that is set up is not kept from its place by what others claim.
        : wish.held.length === 0
        ? twinRefusal(basis, member, settings)
        : undefined;
      if (refusal !== undefined) {
        if (uptimeMs() > nameUntil) throw refusal();
        await pause(500, signal);
        signal.throwIfAborted();
        continue;
      }
      // One that is there goes on as it is.
      if (wish.formerLease === undefined) refuseCutOff(basis, settings, wish);
      const podCidrs = chooseSubnets(settings, basis, {
        ...wish,
        random: Math.random,
      });
      if (given !== undefined && !isSame(podCidrs, given.podCidrs)) {
        throw refusedPlace(
          store,
          `node "${wish.name}" has ${
            given.podCidrs.join(" and ")
          } there: write a network of the node in each of ${
            settings.podCidrs.join(" and ")
          }`,
        );
      }
      const self = { ...member, podCidrs };
      const askedAt = uptimeMs();
      const lease = await store.claim({
        name: wish.name,
        text: writeMember(self),
        podCidrs,
        settings: settingsText,
        basis,
      }, { signal });
      if (lease !== undefined) {
        const endsAtMs = askedAt + lease.ttlMs;
        return {
          settings,
          settingsText,
          self,
          ...given !== undefined && { addresses: given.addresses },
          lease,
          endsAtMs,
        };
      }
      if (refusedAt === basis.revision) {
        throw refusedPlace(
          store,
          `it does not let node "${wish.name}" have ${podCidrs.join(" and ")}`,
        );
      }
      refusedAt = basis.revision;
      // Others were faster; all of them try again.
      await pause(Math.random() * 50, signal);
    } catch (error) {
      if (signal.aborted) throw limit.isOver ? unreachable(store, last) : error;
      if (!isStoreError(error)) throw error;
      if (error.code === "refused") {
        throw new SandboxError("StoreRefused", {
          store: store.description,
          reason: error.message,
        }, { cause: error });
      }
      last = error;
      await pause(backoffMs(failures++, 2000), signal);
    }
  }
}

/** Another member has an address of the node: machines that were cloned, or whose first link is the same private one. */
function twinRefusal(
  { members }: StoreListing,
  { name, addresses }: Pick<ClusterMember, "name" | "addresses">,
  settings: ClusterSettings,
): (() => SandboxError) | undefined {
  for (const one of members) {
    if (one.name === name || one.lease === undefined) continue;
    // Few records are read for it.
    const address = addresses.find((text) =>
      one.text.includes(`"${text}"`) &&
      addressesOf(one, settings)?.includes(text)
    );
    if (address === undefined) continue;
    return () =>
      new SandboxError("NodeConflict", {
        name,
        reason:
          `node "${one.name}" of the cluster has ${address} too: name an address that only this node has (--address), or end that one`,
      });
  }
  return undefined;
}

/** @throws {SandboxError} `NodeConflict` when the node would not reach something any more that it has to */
function refuseCutOff(
  { members }: StoreListing,
  settings: ClusterSettings,
  { cluster, name, networks, needed }: PlaceWish,
): void {
  const clusterCidrs = settings.podCidrs.map(cidrOf);
  const connected = networks.map(cidrOf);
  const refuse = (address: string, what: string) => {
    const { value } = rememberedAddress(address);
    const cidr = cutOffBy(value, clusterCidrs, connected);
    if (cidr === undefined) return;
    throw new SandboxError("NodeConflict", {
      name,
      reason:
        `${what} has ${address}, which is in ${cidr} of cluster "${cluster}" and in no network that this node is on: it would not be reached any more, so begin a cluster with another`,
    });
  };
  for (const [address, what] of needed) refuse(address, what);
  for (const one of members) {
    if (one.name === name) continue;
    for (const address of addressesOf(one, settings) ?? []) {
      refuse(address, `node "${one.name}"`);
    }
  }
}

/** What a store that gives no leases says of the node itself, which it does not take from it. */
function givenTo(
  store: ClusterStore,
  own: StoredMember | undefined,
  settings: ClusterSettings,
): ClusterMember | undefined {
  const member = own && readMember(own.name, own.text, settings);
  if (typeof member !== "string") return member;
  throw refusedPlace(store, `node "${own?.name}": ${member}`);
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return String(some.toSorted()) === String(others.toSorted());
}

function refusedPlace(
  { description: store }: ClusterStore,
  reason: string,
): SandboxError {
  return new SandboxError("StoreRefused", { store, reason });
}

function unreachable(
  { description }: ClusterStore,
  last: StoreError | undefined,
): SandboxError {
  return new SandboxError("StoreUnreachable", {
    store: description,
    reason: last?.message ?? "it takes too long",
  }, { cause: last });
}

/** The cluster's settings, or those that the first node makes. */
function settle(
  { description }: ClusterStore,
  { settings: stored }: StoreListing,
  { cluster, wanted }: PlaceWish,
): { readonly settings: ClusterSettings; readonly settingsText: string } {
  if (stored === undefined) {
    const settings = complete(wanted);
    if (settings === undefined) {
      throw new SandboxError("InvalidSpec", {
        problems: [{
          path: "cluster.podCidrs",
          message:
            `is missing: cluster "${cluster}" is new, write its networks, like "10.244.0.0/16" and "fd00:10:244::/48"`,
        }],
      });
    }
    return { settings, settingsText: JSON.stringify(settings) };
  }
  const settings = readSettings(stored.text);
  if (typeof settings === "string") {
    throw new SandboxError("StoreRefused", {
      store: description,
      reason: `the settings of cluster "${cluster}" are damaged: ${settings}`,
    });
  }
  const found = differences(wanted, settings);
  if (found.length > 0) {
    throw new SandboxError("ClusterConflict", { cluster, differences: found });
  }
  return { settings, settingsText: stored.text };
}

/** Whether the member that has the node's name is what this very node was until now. */
function isOwn(
  other: StoredMember,
  { addresses }: Pick<ClusterMember, "addresses">,
  settings: ClusterSettings,
  { formerLease }: PlaceWish,
): boolean {
  if (other.lease === undefined || other.lease === formerLease) return true;
  // After a reboot the lease is forgotten; two machines that work have no address in common.
  const known = addressesOf(other, settings) ?? [];
  return known.some((address) => addresses.includes(address));
}

function cidrOf(text: string): Cidr {
  return rememberedCidr(text).value;
}

function addressesOf(
  { name, text }: StoredMember,
  settings: ClusterSettings,
): readonly string[] | undefined {
  const member = readMember(name, text, settings);
  return typeof member === "string" ? undefined : member.addresses;
}

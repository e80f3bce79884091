/**
 * Members that can be what they say: what others write into the store is read here, and nobody takes what is not his.
 *
 * @module
 */
import type { Cidr } from "../net/cidr.ts";
import {
  type Remembered,
  rememberedAddress,
  rememberedCidr,
  rememberedMac,
} from "../net/remembered.ts";
import { compareText } from "../text.ts";
import { Claims } from "./claims.ts";
import { cutOffBy } from "./cut_off.ts";
import { canBeReached } from "./endpoint.ts";
import type { ClusterMember } from "./member.ts";
import { PathError } from "./path_error.ts";
import type { PathFacts } from "./path_plan.ts";
import type { Steps } from "../steps.ts";

/** A member whose claims are read, and nobody else's. */
export interface Peer extends Omit<ClusterMember, "podCidrs"> {
  readonly podCidrs: readonly Remembered<Cidr>[];
  /** The networks of its addresses alone. */
  readonly hosts: readonly Remembered<Cidr>[];
}

/** Sorts out members that cannot be what they say, as they come, change and go: what comes of it does not depend on the order. */
export class Admission {
  readonly #own: Claimed;
  readonly #segments: readonly Cidr[];
  readonly #cluster: readonly Cidr[];
  readonly #claims = new Claims();
  /** Who has a MAC address, or a key. */
  readonly #marks = new Map<string, string>();
  readonly #accepted = new Map<string, Claimed>();
  /** Those that claim what somebody before them has. */
  readonly #rejected = new Map<string, Claimed>();
  readonly #refused = new Map<string, PathError>();

  /** Of nobody yet. */
  constructor({ underlay, self, options }: PathFacts) {
    this.#own = claimsOf(self);
    this.#segments = underlay.networks.map(({ network }) =>
      rememberedCidr(network).value
    );
    this.#cluster = options.clusterCidrs.map((text) =>
      rememberedCidr(text).value
    );
  }

  /** A member that is accepted. */
  peer(name: string): Peer | undefined {
    return this.#accepted.get(name)?.peer;
  }

  /** Why a member is not. */
  refusal(name: string): PathError | undefined {
    return this.#refused.get(name);
  }

  /**
   * Decides anew, in the order of names: what those before have is settled then. So one that is accepted takes from those
   * after it what they had, and these are decided again.
   *
   * @param changed members by name, of other nodes; undefined for those that have gone
   * @returns names of those about whom anything may be different
   */
  *update(
    changed: ReadonlyMap<string, ClusterMember | undefined>,
  ): Steps<Set<string>> {
    const decided = new Set(changed.keys());
    for (const [name, member] of changed) {
      yield;
      this.#withdraw(name);
      this.#rejected.delete(name);
      this.#refused.delete(name);
      if (member === undefined) continue;
      try {
        this.#rejected.set(name, claimsOf(member));
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        this.#refused.set(name, new PathError("Invalid", name, error.message));
      }
    }
    const queue = [...this.#rejected.values()].sort(lastFirst);
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      yield;
      const { peer: { name }, all, marks } = next;
      decided.add(name);
      const rivals = new Set<string>();
      const problem = this.#problemOf(next, rivals);
      if (problem !== undefined) {
        this.#rejected.set(name, next);
        this.#refused.set(name, new PathError("Conflict", name, problem));
        continue;
      }
      for (const rival of rivals) {
        const loser = this.#withdraw(rival);
        if (loser !== undefined) queue.push(loser);
      }
      if (rivals.size > 0) queue.sort(lastFirst);
      this.#rejected.delete(name);
      this.#refused.delete(name);
      this.#accepted.set(name, next);
      for (const { value } of all) this.#claims.claim(value, name);
      for (const { mark } of marks) this.#marks.set(mark, name);
    }
    return decided;
  }

  /** Takes back what a member was accepted with. */
  #withdraw(name: string): Claimed | undefined {
    const claimed = this.#accepted.get(name);
    if (claimed === undefined) return undefined;
    this.#accepted.delete(name);
    for (const { value } of claimed.all) this.#claims.release(value);
    for (const { mark } of claimed.marks) this.#marks.delete(mark);
    return claimed;
  }

  /**
   * Why a member cannot be accepted.
   *
   * @param rivals takes those after it that have what it claims
   */
  #problemOf(
    { peer: { name, podCidrs, addresses }, all, marks }: Claimed,
    rivals: Set<string>,
  ): string | undefined {
    for (const { value, text } of all) {
      if (this.#own.all.some((own) => own.value.overlaps(value))) {
        return `${text} is of this node`;
      }
      const first = firstBefore(name, this.#claims.ownersOf(value), rivals);
      if (first !== undefined) return `${text} is of ${first}`;
    }
    for (const { value: cidr } of podCidrs) {
      const segment = this.#segments.find((one) => one.overlaps(cidr));
      if (segment !== undefined) {
        return `${cidr} overlaps ${segment}, a network that this node is on`;
      }
      if (
        this.#cluster.length > 0 &&
        !this.#cluster.some((other) => other.contains(cidr))
      ) return `${cidr} is not of the cluster (${this.#cluster.join(", ")})`;
    }
    for (const text of addresses) {
      const { value } = rememberedAddress(text);
      const cidr = cutOffBy(value, this.#cluster, this.#segments);
      if (cidr !== undefined) {
        return `${text} is in ${cidr} of the cluster, and in no network that this node is on: it cannot be reached`;
      }
    }
    for (const { mark, text } of marks) {
      if (this.#own.marks.some((own) => own.mark === mark)) {
        return `${text} is that of this node`;
      }
      const owner = this.#marks.get(mark);
      const owners = owner === undefined ? [] : [owner];
      const first = firstBefore(name, owners, rivals);
      if (first !== undefined) return `${text} is that of ${first}`;
    }
    return undefined;
  }
}

/** The first of some names that is before this one. */
function firstBefore(
  name: string,
  others: Iterable<string>,
  later: Set<string>,
): string | undefined {
  let first: string | undefined;
  for (const other of others) {
    if (compareText(other, name) > 0) later.add(other);
    else if (first === undefined || compareText(other, first) < 0) {
      first = other;
    }
  }
  return first;
}

function lastFirst(a: Claimed, b: Claimed): number {
  return compareText(b.peer.name, a.peer.name);
}

interface Claimed {
  readonly peer: Peer;
  readonly all: readonly Remembered<Cidr>[];
  /** What else only one can have. */
  readonly marks: readonly { readonly mark: string; readonly text: string }[];
}

/** @throws {RangeError} for what is no address or network, or nothing that a node can have */
function claimsOf({ vxlan, ...member }: ClusterMember): Claimed {
  const podCidrs = member.podCidrs.map(rememberedCidr);
  const addresses = [
    ...new Set(member.addresses.map((text) => rememberedAddress(text).text)),
  ].map(rememberedAddress);
  for (const { value: address } of addresses) {
    if (!canBeReached(address)) {
      throw new RangeError(`${address} is no address of a node`);
    }
  }
  const families = podCidrs.map(({ value }) => value.family);
  if (new Set(families).size < podCidrs.length) {
    throw new RangeError("it has two pod CIDRs of one IP version");
  }
  for (const { value, text } of podCidrs) {
    if (value.size < 2n) throw new RangeError(`${text} has no room for pods`);
  }
  const mac = vxlan && rememberedMac(vxlan.mac);
  if (mac?.value.isMulticast || mac?.value.isZero) {
    throw new RangeError(`${mac.text} is no MAC address of a node`);
  }
  const hosts = addresses.map(({ host }) => host);
  return {
    peer: {
      ...member,
      podCidrs,
      addresses: addresses.map(({ text }) => text),
      hosts,
      ...vxlan && mac && { vxlan: { ...vxlan, mac: mac.text } },
    },
    all: [...podCidrs, ...hosts],
    marks: [
      ...mac === undefined
        ? []
        : [{ mark: mac.text, text: "the MAC address of its tunnel" }],
      ...member.wireguard === undefined
        ? []
        : [{ mark: member.wireguard.publicKey, text: "its WireGuard key" }],
    ],
  };
}

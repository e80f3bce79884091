/**
 * Who is there: what the store tells, read and kept up to date.
 *
 * @module
 */
import { MAX_NODE_NAME_LENGTH } from "../spec/limits.ts";
import type { Steps } from "../steps.ts";
import { compareText, shortened } from "../text.ts";
import { ownEndpoint } from "./endpoint.ts";
import type { ClusterMember } from "./member.ts";
import { readMember } from "./record.ts";
import { type ClusterSettings, differences, readSettings } from "./settings.ts";
import type {
  Reservation,
  StoredMember,
  StoredText,
  StoreListing,
  StoreUpdate,
} from "./store.ts";

/** What is wrong is told with what was written, which may be of any length. */
const MAX_REASON_LENGTH = 500;

/** A record that is none, and is ignored. */
export interface RefusedMember {
  /** The name it is stored under, or the beginning of one that is too long for a node; `settings` for the cluster's. */
  readonly name: string;
  /** What is wrong with it. */
  readonly reason: string;
}

/** Who is there at a moment. */
export interface RosterView {
  /** By name; this node is among them. */
  readonly members: readonly ClusterMember[];
  /** By name. */
  readonly refused: readonly RefusedMember[];
}

/** The members of a cluster, as far as the store has told. */
export class Roster {
  readonly #settings: ClusterSettings;
  #revision = "";
  #settingsProblem: string | undefined;
  readonly #stored = new Map<string, StoredMember>();
  readonly #reservations = new Map<string, Reservation>();
  /** What stored members say, which is read once: valid for the revision. */
  readonly #read = new Map<
    string,
    { readonly revision: string; readonly member: ClusterMember | string }
  >();

  /** Nobody yet. */
  constructor(settings: ClusterSettings) {
    this.#settings = settings;
  }

  /** The moment, for a watch. */
  get revision(): string {
    return this.#revision;
  }

  /** What is stored under a name. */
  stored(name: string): StoredMember | undefined {
    return this.#stored.get(name);
  }

  /** Name of the node that a pod network is reserved for. */
  owner(podCidr: string): string | undefined {
    return this.#reservations.get(podCidr)?.owner;
  }

  /** Why the settings are not what the node goes by, by their meaning. */
  get settingsProblem(): string | undefined {
    return this.#settingsProblem;
  }

  /** Forgets what was, and takes a listing. */
  reset({ revision, settings, members, reservations }: StoreListing): void {
    this.#revision = revision;
    this.#look(settings);
    this.#stored.clear();
    this.#reservations.clear();
    for (const member of members) this.#stored.set(member.name, member);
    for (const one of reservations) this.#reservations.set(one.podCidr, one);
    for (const name of this.#read.keys()) {
      if (!this.#stored.has(name)) this.#read.delete(name);
    }
  }

  /** Goes on by an update of a watch. */
  apply({ revision, changes }: StoreUpdate): void {
    this.#revision = revision;
    for (const change of changes) {
      if (change.kind === "member") {
        if (change.now !== undefined) this.#stored.set(change.name, change.now);
        else {
          this.#stored.delete(change.name);
          this.#read.delete(change.name);
        }
      } else if (change.kind === "settings") this.#look(change.now);
      else if (change.now === undefined) {
        this.#reservations.delete(change.podCidr);
      } else this.#reservations.set(change.podCidr, change.now);
    }
  }

  /** When there are none, the next who claims writes his own. */
  #look(stored: StoredText | undefined): void {
    const now = stored && readSettings(stored.text);
    const found = now === undefined
      ? []
      : typeof now === "string"
      ? [`damaged: ${now}`]
      : differences(this.#settings, now);
    this.#settingsProblem = found.length === 0
      ? undefined
      : `of the cluster are others by now: ${
        found.join("; ")
      }: let this node join again to go by them`;
  }

  /**
   * What it comes to, of those who are stored when it begins. A member that has a network of another's reservation is refused.
   * One whose record is the same as before is the same object.
   */
  *view(): Steps<RosterView> {
    const members: ClusterMember[] = [];
    const refused: RefusedMember[] = [];
    const refuse = (name: string, reason: string) =>
      refused.push({
        name: shortened(name, MAX_NODE_NAME_LENGTH + 1),
        reason: shortened(reason, MAX_REASON_LENGTH),
      });
    if (this.#settingsProblem !== undefined) {
      refuse("settings", this.#settingsProblem);
    }
    for (const stored of [...this.#stored.values()]) {
      yield;
      const member = this.#memberOf(stored);
      const problem = typeof member === "string"
        ? member
        : this.#problemOf(member);
      if (typeof member !== "string" && problem === undefined) {
        members.push(member);
      } else if (problem !== undefined) {
        refuse(stored.name, problem);
      }
    }
    return { members: members.sort(byName), refused: refused.sort(byName) };
  }

  #memberOf(stored: StoredMember): ClusterMember | string {
    const { name, revision, text } = stored;
    const known = this.#read.get(name);
    if (known?.revision === revision) return known.member;
    const read = readMember(name, text, this.#settings);
    // Nobody has written into a file of people's what follows from the name.
    const member = typeof read === "string" || stored.lease !== undefined
      ? read
      : { ...this.#tunnelOf(read), ...read };
    this.#read.set(name, { revision, member });
    return member;
  }

  #tunnelOf({ name, addresses }: ClusterMember): Pick<ClusterMember, "vxlan"> {
    const { podCidrs: clusterCidrs, ...options } = this.#settings;
    const underlay = { addresses, mtu: 1500 };
    const { vxlan } = ownEndpoint(name, underlay, { ...options, clusterCidrs });
    return vxlan === undefined ? {} : { vxlan };
  }

  #problemOf({ name, podCidrs }: ClusterMember): string | undefined {
    for (const podCidr of podCidrs) {
      const owner = this.owner(podCidr) ?? name;
      if (owner !== name) return `${podCidr} is reserved for "${owner}"`;
    }
    return undefined;
  }
}

function byName(
  a: { readonly name: string },
  b: { readonly name: string },
): number {
  return compareText(a.name, b.name);
}

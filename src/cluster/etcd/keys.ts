/**
 * Where a cluster is in etcd:
 *
 * ```text
 * <prefix>/<cluster>/settings               the cluster's settings
 *                    members/<node>         with the node's lease
 *                    networks/<10.244.1.0-24>   whose the pod network is: a name
 * ```
 *
 * @module
 */
import type {
  Reservation,
  StoreChange,
  StoredMember,
  StoredText,
} from "../store.ts";
import type { KeyValue } from "./wire.ts";

/** The keys of one cluster. */
export class ClusterKeys {
  /** Begins all of them. */
  readonly root: string;
  /** The settings. */
  readonly settings: string;
  readonly #members: string;
  readonly #networks: string;

  /** The cluster's name has no `/`. */
  constructor(prefix: string, cluster: string) {
    this.root = `${prefix}/${cluster}/`;
    this.settings = `${this.root}settings`;
    this.#members = `${this.root}members/`;
    this.#networks = `${this.root}networks/`;
  }

  /** Of a member. */
  member(name: string): string {
    return `${this.#members}${name}`;
  }

  /** Of a reservation. */
  network(podCidr: string): string {
    return `${this.#networks}${podCidr.replace("/", "-")}`;
  }

  /** What it means that a key has this value, or is gone; undefined for a key that means nothing here. */
  change(kv: KeyValue, isGone: boolean): StoreChange | undefined {
    const { key } = kv;
    if (key === this.settings) {
      return { kind: "settings", ...!isGone && { now: storedText(kv) } };
    }
    if (key.startsWith(this.#members)) {
      const name = key.slice(this.#members.length);
      return {
        kind: "member",
        name,
        ...!isGone && { now: storedMember(name, kv) },
      };
    }
    if (!key.startsWith(this.#networks)) return undefined;
    const podCidr = key.slice(this.#networks.length).replace("-", "/");
    return {
      kind: "reservation",
      podCidr,
      ...!isGone && { now: reservation(podCidr, kv) },
    };
  }
}

function storedText(kv: KeyValue): StoredText {
  return { text: kv.value, revision: kv.mod_revision };
}

function storedMember(name: string, kv: KeyValue): StoredMember {
  return {
    name,
    ...storedText(kv),
    ...kv.lease !== "0" && { lease: kv.lease },
  };
}

function reservation(podCidr: string, kv: KeyValue): Reservation {
  return { podCidr, owner: kv.value, revision: kv.mod_revision };
}

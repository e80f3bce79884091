/**
 * What a cluster is kept in: the few things that membership asks of a store, and what it may rely on.
 *
 * A store keeps three kinds of texts, and understands none of them:
 *
 * - the **settings** of the cluster, one text, written by the first who claims, kept for ever;
 * - a **member** for each node that is there, under its name. It goes with the lease of whoever claimed it;
 * - a **reservation** for each pod network that was ever leased: whose it is. It outlives the lease, so that a node that
 *   returns finds its network again, and goes when it is released or when somebody claims it whose owner is not there.
 *
 * An engine fits when it can do this. A Kubernetes API client would list Node objects: `spec.podCIDRs` is the reservation,
 * an annotation the member, the node's Lease object its lease; and it would refuse each claim of another network.
 *
 * @module
 */

/** A text and its revision: it has changed if and only if the revision has. */
export interface StoredText {
  /** What was stored. Whoever may write to the store has written it. */
  readonly text: string;
  /** Opaque: only good for comparing with another of the same store for equality. */
  readonly revision: string;
}

/** A node that is there. */
export interface StoredMember extends StoredText {
  /** The name it is stored under, whatever the text says. */
  readonly name: string;
  /** The lease it goes with; undefined when it stays whatever happens. */
  readonly lease?: string;
}

/** A pod network, and whose it is. */
export interface Reservation {
  /** As it is stored: whoever may write to the store has written it. */
  readonly podCidr: string;
  /** Name of the node. */
  readonly owner: string;
  /** As in {@linkcode StoredText}. */
  readonly revision: string;
}

/** All that a store has, at one moment. */
export interface StoreListing {
  /** The moment, for {@linkcode ClusterStore.watch}. */
  readonly revision: string;
  /** Missing while nobody has claimed anything. */
  readonly settings?: StoredText;
  /** One of a name. */
  readonly members: readonly StoredMember[];
  /** One of a network. */
  readonly reservations: readonly Reservation[];
}

/** One thing that changed. `now` is missing when it is gone. */
export type StoreChange =
  | { readonly kind: "settings"; readonly now?: StoredText }
  | {
    readonly kind: "member";
    readonly name: string;
    readonly now?: StoredMember;
  }
  | {
    readonly kind: "reservation";
    readonly podCidr: string;
    readonly now?: Reservation;
  };

/** Changes that happened at one moment, in order. */
export interface StoreUpdate {
  /** The moment: to go on from it. */
  readonly revision: string;
  /** Empty when all that it tells is that nothing has happened until that moment. */
  readonly changes: readonly StoreChange[];
}

/** What a node asks for. */
export interface Claim {
  /** The node. */
  readonly name: string;
  /** The text that the others see of it. */
  readonly text: string;
  /** The pod networks. */
  readonly podCidrs: readonly string[];
  /** The text that the settings must have; written when there are none. */
  readonly settings: string;
  /** What the decision to ask for this was made on. */
  readonly basis: StoreListing;
}

/** The right to be a member, for a while. */
export interface Lease {
  /** Of the store. A text, since numbers of stores may have 64 bits. */
  readonly id: string;
  /**
   * How long it is good for from the moment in which it was asked for, in milliseconds; Infinity when it never ends, and
   * members are stored without one.
   */
  readonly ttlMs: number;
}

/** How to call a store. */
export interface CallOptions {
  /** Ends the call: it throws the signal's reason. Whether it had its effect is then unknown. */
  readonly signal?: AbortSignal;
}

/**
 * A store. Every call throws {@linkcode StoreError}, and when its signal aborts, the signal's reason.
 *
 * A call that fails with `unreachable` may have had its effect all the same. All of them can be repeated.
 */
export interface ClusterStore extends AsyncDisposable {
  /** Where it is, for people. */
  readonly description: string;

  /** Reads everything, at one moment which is no earlier than the call (linearizable). */
  list(options?: CallOptions): Promise<StoreListing>;

  /**
   * Tells what happens after a moment: each change once, in order, none left out, from the moment of a listing or of an
   * update. A member whose lease has ended counts as gone, at the latest 1 s after the end by the store's own clock.
   *
   * Once it listens it says so, by an update without changes at the moment that it goes on from.
   *
   * It never ends by itself: when the store can no longer tell what happened in between, it throws `gap`, and `lost` when
   * it has not come to that moment, or not any more; then everything must be listed again. With `unreachable` it can be
   * tried again from the last update.
   */
  watch(
    revision: string,
    options?: CallOptions,
  ): AsyncIterable<StoreUpdate>;

  /**
   * Makes the node a member, with the pod networks, in one step or not at all. It takes effect if and only if, at that
   * step,
   *
   * - the settings have the text, or there were none in `basis` and are none;
   * - the member of this name is what it was in `basis`, or missing as there;
   * - of each network the reservation is what it was in `basis`, or missing as there;
   * - an owner of one of them other than the node is no member.
   *
   * Then the member has the text and goes with the new lease; the networks are reserved for the node, and what else was
   * reserved for it in `basis` and still is, no longer.
   *
   * @returns undefined when it took no effect: list again, and decide anew
   */
  claim(claim: Claim, options?: CallOptions): Promise<Lease | undefined>;

  /**
   * Makes a lease good for its whole time again.
   *
   * @returns the lease, or undefined when it has ended
   */
  renew(lease: Lease, options?: CallOptions): Promise<Lease | undefined>;

  /**
   * Gives back the lease, and with it the member, and what is reserved for it of these networks. What is no longer the
   * lease's, or the node's, stays.
   */
  release(
    lease: Lease,
    node: Pick<Claim, "name" | "podCidrs">,
    options?: CallOptions,
  ): Promise<void>;
}

/** Why a store did not do what it was asked for. */
export type StoreErrorCode =
  /** It did not answer, or is not able to at the moment: try again. */
  | "unreachable"
  /** It does not know any more what happened since a moment: list again. */
  | "gap"
  /** It has lost what it had, or some of it: list again, but who is missing may be there all the same. */
  | "lost"
  /** It does not let us, or does not understand: trying again does not help. */
  | "refused";

/** A store did not do what it was asked for. */
export class StoreError extends Error {
  /** `"StoreError"`. */
  override readonly name = "StoreError";
  /** What to do about it. */
  readonly code: StoreErrorCode;

  /** Makes the error. */
  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Whether `error` is a {@linkcode StoreError} of one of these codes; of any, when none is named. */
export function isStoreError(
  error: unknown,
  ...codes: readonly StoreErrorCode[]
): error is StoreError {
  return error instanceof StoreError &&
    (codes.length === 0 || codes.includes(error.code));
}

import { assert, assertEquals } from "@std/assert";
import { Membership } from "../../src/cluster/membership.ts";
import { writeMember } from "../../src/cluster/record.ts";
import {
  type CallOptions,
  type Claim,
  type ClusterStore,
  type Lease,
  type StoredMember,
  StoreError,
  type StoreListing,
  type StoreUpdate,
} from "../../src/cluster/store.ts";
import { until } from "../support/patience.ts";
import { place, self } from "./held_place.ts";

const lease: Lease = { id: "7", ttlMs: 600 };

/** A store with one member, which can be made to answer nothing. */
class OneMember implements ClusterStore {
  readonly description = "a store";
  isDown = false;
  /** What was asked for since it answers. */
  readonly asked: ("renewal" | "watch")[] = [];
  failedWatches = 0;
  member: StoredMember = {
    name: self.name,
    text: writeMember(self),
    revision: "1",
    lease: lease.id,
  };
  /** Of claims that take effect, how many have no answer. */
  lostAnswers = 0;
  /** How many claims take none. */
  refusals = 0;
  /** Whether it does not know the lease any more. */
  hasForgotten = false;
  /** Ends the watch that there is. */
  breakWatch: (error: StoreError) => void = () => {};

  list(): Promise<StoreListing> {
    this.#answer();
    const { name: owner, podCidrs: [podCidr = ""] } = self;
    return Promise.resolve({
      revision: "1",
      members: [this.member],
      reservations: [{ podCidr, owner, revision: "1" }],
    });
  }

  async *watch(
    revision: string,
    { signal }: CallOptions = {},
  ): AsyncGenerator<StoreUpdate> {
    signal?.throwIfAborted();
    if (this.isDown) this.failedWatches++;
    this.#answer();
    const { promise, reject } = Promise.withResolvers<never>();
    this.breakWatch = reject;
    signal?.addEventListener("abort", () => reject(signal.reason));
    this.asked.push("watch");
    yield { revision, changes: [] };
    await promise;
  }

  renew(lease: Lease): Promise<Lease | undefined> {
    this.#answer();
    this.asked.push("renewal");
    return Promise.resolve(this.hasForgotten ? undefined : lease);
  }

  claim({ name, text }: Claim): Promise<Lease | undefined> {
    if (this.refusals-- > 0) return Promise.resolve(undefined);
    const revision = `${Number(this.member.revision) + 1}`;
    const now = { ...lease, id: `${lease.id}-${revision}` };
    this.member = { name, text, revision, lease: now.id };
    if (this.lostAnswers-- > 0) {
      throw new StoreError("unreachable", "it says nothing");
    }
    return Promise.resolve(now);
  }

  release(): Promise<void> {
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #answer(): void {
    if (this.isDown) throw new StoreError("unreachable", "it is down");
  }
}

Deno.test("a watch that has failed for long is tried again with the first renewal that the store does, not after its own pause", async () => {
  const store = new OneMember();
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>();
  const { promise: failed, resolve: hasFailed } = Promise.withResolvers<void>();
  await using membership = new Membership(store, place(lease), {
    onLease() {},
    onRoster() {},
    onState({ state }) {
      if (state === "ready" && store.failedWatches > 0) isReady();
      if (state === "disconnected" || state === "expired") hasFailed();
    },
  });
  await membership.start();
  store.isDown = true;
  await failed;
  // Its own pause is 0.8 s at least from now on, which is more than four renewals.
  await until(() => store.failedWatches >= 4);
  store.asked.length = 0;
  store.isDown = false;
  await ready;
  assertEquals(membership.status.state, "ready");
  const renewals = store.asked.indexOf("watch");
  assert(renewals === 1, `${renewals} renewals before the watch`);
});

Deno.test("who is missing in a store that has lost something may be there all the same, and it is listed again however that shows", async () => {
  const gap = new StoreError("gap", "it is compacted");
  const lost = new StoreError("lost", "it is an older one");
  const ways: [boolean, (store: OneMember, membership: Membership) => void][] =
    [
      [false, (store) => store.breakWatch(gap)],
      // This node's own record is there again.
      [true, (store) => store.breakWatch(lost)],
      // The watch tells nothing, since it waits for what is still to come in the new store.
      [true, (store, membership) => {
        store.hasForgotten = true;
        membership.update({ ...self, addresses: ["192.168.50.2"] });
      }],
    ];
  for (const [isDoubtful, happen] of ways) {
    const store = new OneMember();
    const told: boolean[] = [];
    await using membership = new Membership(
      store,
      place({ ...lease, ttlMs: 60_000 }),
      {
        onLease() {},
        onState() {},
        onRoster: (isDoubtful) => told.push(isDoubtful),
      },
    );
    await membership.start();
    await until(() => store.asked.includes("watch"));
    happen(store, membership);
    await until(() => told.length > 0);
    assertEquals(told[0], isDoubtful);
  }
});

Deno.test("a claim that took none, or had no answer, costs no place that lasts, and one that the node never made is another's", async () => {
  const store = new OneMember();
  const states: string[] = [];
  await using membership = new Membership(
    store,
    place({ ...lease, ttlMs: 60_000 }),
    { onLease() {}, onRoster() {}, onState: ({ state }) => states.push(state) },
  );
  await membership.start();
  store.refusals = 1;
  store.lostAnswers = 2;
  const moved = { ...self, addresses: ["192.168.50.2"] };
  membership.update(moved);
  await until(() =>
    store.member.text === writeMember(moved) &&
    store.member.lease === membership.lease.id
  );
  assert(!states.includes("expired"), `${states}`);
  // Somebody else who says the same.
  store.member = { ...store.member, revision: "9", lease: "10" };
  membership.update({ ...self, addresses: ["192.168.50.3"] });
  await until(() => states.includes("expired"));
  assertEquals(
    membership.status.reason,
    'another node has the name "n1" by now',
  );
});

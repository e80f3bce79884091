import { assert, assertEquals, assertRejects } from "@std/assert";
import type { EtcdStore } from "../../src/cluster/etcd/etcd_store.ts";
import { StaticStore } from "../../src/cluster/static_store.ts";
import {
  type ClusterStore,
  isStoreError,
  StoreError,
  type StoreListing,
  type StoreUpdate,
} from "../../src/cluster/store.ts";
import { Etcd } from "./etcd.ts";

const SETTINGS = '{"podCidrs":["10.244.0.0/16"]}';
const A = { name: "a", podCidrs: ["10.244.1.0/24", "fd00:1::/64"] };
const B = { name: "b", podCidrs: ["10.244.2.0/24", "fd00:2::/64"] };

/** What the contract is tried on: a store that others can be made to change. */
interface Subject extends AsyncDisposable {
  /** Another client of the same store. */
  open(): ClusterStore;
  /** Makes b a member, or no member and without reservations. */
  setB(isThere: boolean): Promise<void>;
}

async function etcdSubject(): Promise<Subject> {
  const etcd = await Etcd.start();
  const other = etcd.store({ leaseSeconds: 60 });
  let lease: Awaited<ReturnType<EtcdStore["claim"]>>;
  return {
    open: () => etcd.store(),
    async setB(isThere) {
      if (!isThere && lease !== undefined) await other.release(lease, B);
      if (isThere) lease = await claimFor(other, B);
    },
    async [Symbol.asyncDispose]() {
      await other[Symbol.asyncDispose]();
      await etcd[Symbol.asyncDispose]();
    },
  };
}

function staticSubject(): Promise<Subject> {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/peers.json`;
  const write = (nodes: readonly unknown[]) => {
    Deno.writeTextFileSync(
      `${path}.new`,
      JSON.stringify({ ...JSON.parse(SETTINGS), nodes }),
    );
    Deno.renameSync(`${path}.new`, path);
  };
  write([A]);
  return Promise.resolve({
    open: () => new StaticStore(path),
    setB: (isThere) => Promise.resolve(write(isThere ? [A, B] : [A])),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  });
}

const subjects = { etcd: etcdSubject, "a file": staticSubject };

function claimFor(
  store: ClusterStore,
  node: { readonly name: string; readonly podCidrs: readonly string[] },
  basis?: StoreListing,
) {
  return Promise.resolve(basis ?? store.list()).then((basis) =>
    store.claim({
      ...node,
      text: JSON.stringify(node),
      settings: SETTINGS,
      basis,
    })
  );
}

/** Names of members, and networks with their owners, of a listing. */
function contents({ members, reservations }: StoreListing): string[] {
  return [
    ...members.map(({ name }) => name),
    ...reservations.map(({ podCidr, owner }) => `${podCidr} ${owner}`),
  ].sort();
}

/** A listing that has gone through the changes. */
function changed(listing: StoreListing, update: StoreUpdate): StoreListing {
  const members = new Map(listing.members.map((m) => [m.name, m]));
  const reservations = new Map(
    listing.reservations.map((r) => [r.podCidr, r]),
  );
  let { settings } = listing;
  for (const change of update.changes) {
    if (change.kind === "settings") settings = change.now;
    else if (change.kind === "member") {
      if (change.now === undefined) members.delete(change.name);
      else members.set(change.name, change.now);
    } else if (change.now === undefined) reservations.delete(change.podCidr);
    else reservations.set(change.podCidr, change.now);
  }
  return {
    revision: update.revision,
    ...settings !== undefined && { settings },
    members: [...members.values()],
    reservations: [...reservations.values()],
  };
}

for (const [name, make] of Object.entries(subjects)) {
  Deno.test(`${name}: a claim makes a member with its networks, and is what others list`, async () => {
    await using subject = await make();
    await using store = subject.open();
    await using other = subject.open();
    assert(await claimFor(store, A) !== undefined);
    const listing = await other.list();
    assertEquals(contents(listing), [
      "10.244.1.0/24 a",
      "a",
      "fd00:1::/64 a",
    ]);
    assertEquals(listing.settings?.text, SETTINGS);
    assertEquals(JSON.parse(listing.members[0]?.text ?? ""), A);
  });

  Deno.test(`${name}: a claim takes no effect when settings or networks are not what it says`, async () => {
    await using subject = await make();
    await using store = subject.open();
    assert(await claimFor(store, A) !== undefined);
    await subject.setB(true);
    const basis = await store.list();
    const claim = { ...A, text: JSON.stringify(A), settings: SETTINGS, basis };
    const others = [
      { ...claim, settings: "{}" },
      { ...claim, podCidrs: B.podCidrs },
    ];
    for (const other of others) {
      assertEquals(await store.claim(other), undefined);
    }
    assertEquals(contents(await store.list()), contents(basis));
    // Asking again for what one has is fine, and gives a lease that is good.
    const again = await store.claim(claim);
    assert(again !== undefined && await store.renew(again) !== undefined);
  });

  Deno.test(`${name}: a watch tells each change after the listing, in order`, async () => {
    await using subject = await make();
    await using store = subject.open();
    assert(await claimFor(store, A) !== undefined);
    let known = await store.list();
    const end = new AbortController();
    const watch = store.watch(known.revision, { signal: end.signal })
      [Symbol.asyncIterator]();
    for (const isThere of [true, false, true]) {
      const next = (async () => {
        do {
          const { value } = await watch.next();
          known = changed(known, value);
        } while (
          known.reservations.length !== (isThere ? 4 : 2) ||
          known.members.length !== (isThere ? 2 : 1)
        );
      })();
      await subject.setB(isThere);
      await next;
      assertEquals(contents(known), contents(await store.list()));
    }
    end.abort("enough");
    assertEquals(await watch.next().catch((reason) => reason), "enough");
  });

  Deno.test(`${name}: a watch says that it listens, and goes on from where another one was`, async () => {
    await using subject = await make();
    await using store = subject.open();
    await claimFor(store, A);
    const listing = await store.list();
    let { revision } = listing;
    for (const isThere of [true, false, true]) {
      const told: StoreUpdate[] = [];
      for await (const update of store.watch(revision)) {
        told.push(update);
        if (told.length > 1) break;
        // It listens.
        assertEquals(update, { revision, changes: [] });
        await subject.setB(isThere);
      }
      const [, update] = told;
      assert(update !== undefined && update.changes.length > 0);
      revision = update.revision;
      // What a release does in more than one step is over before the next watch.
      revision = (await store.list()).revision;
    }
  });

  Deno.test(`${name}: aborted calls throw the signal's reason`, async () => {
    await using subject = await make();
    await using store = subject.open();
    const basis = await store.list();
    const signal = AbortSignal.abort(new RangeError("no more"));
    const lease = { id: "1", ttlMs: 1000 };
    const calls: (() => Promise<unknown>)[] = [
      () => store.list({ signal }),
      () => store.claim({ ...A, text: "", settings: "", basis }, { signal }),
      () => store.renew(lease, { signal }),
      () =>
        store.watch(basis.revision, { signal })[Symbol.asyncIterator]().next(),
    ];
    for (const call of calls) await assertRejects(call, RangeError, "no more");
  });
}

Deno.test("StaticStore says what is wrong with its file, and that a node is not in it", async () => {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/peers.json`;
  await using store = new StaticStore(path);
  const wrong: Record<string, string> = {
    "{": "it is no JSON",
    "[]": 'write an object with a list "nodes"',
    '{"nodes":[1]}': 'each of "nodes" is an object with a "name"',
    '{"nodes":[{"name":"a"},{"name":"a"}]}': '"a" is there twice',
    '{"nodes":[{"name":"a","podCidrs":["x"]},{"name":"b","podCidrs":["x"]}]}':
      'x is of "a" and of "b"',
    '{"nodes":[{"name":"a","podCidrs":["FD00:0::/64"]},{"name":"b","podCidrs":["fd00::/64"]}]}':
      'fd00::/64 is of "a" and of "b"',
  };
  const list = () => assertRejects(() => store.list(), StoreError);
  assert((await list()).message.includes("there is no such file"));
  for (const [text, reason] of Object.entries(wrong)) {
    await Deno.remove(path).catch(() => {});
    Deno.writeTextFileSync(path, text);
    const error = await list();
    assert(isStoreError(error, "refused"));
    assert(error.message.startsWith(`${path}: ${reason}`), error.message);
  }
  Deno.removeSync(path);
  Deno.writeTextFileSync(path, JSON.stringify({ nodes: [A] }));
  const claim = claimFor(store, B);
  await assertRejects(() => claim, StoreError, 'it has no node "b": add it');
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("StaticStore: whoever reads the file in between takes no change from a watch", async () => {
  await using subject = await staticSubject();
  await using store = subject.open();
  const { revision } = await store.list();
  const watch = store.watch(revision)[Symbol.asyncIterator]();
  await watch.next();
  const told = watch.next();
  await subject.setB(true);
  await store.list();
  await subject.setB(true);
  await store.list();
  const { value } = await told;
  assertEquals((value as StoreUpdate).changes.map(({ kind }) => kind), [
    "reservation",
    "reservation",
    "member",
  ]);
});

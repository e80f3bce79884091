import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ClusterStore,
  isStoreError,
  StoreError,
  type StoreUpdate,
} from "../../src/cluster/store.ts";
import { Etcd } from "./etcd.ts";
import { certificates } from "./certificates.ts";
import { eventually } from "../support/patience.ts";

async function claim(store: ClusterStore, name: string, podCidr: string) {
  return await store.claim({
    name,
    podCidrs: [podCidr],
    text: "{}",
    settings: "{}",
    basis: await store.list(),
  });
}

async function names(store: ClusterStore): Promise<string[]> {
  return (await store.list()).members.map(({ name }) => name);
}

/** The next update of a watch that has changes. */
async function changes(
  watch: AsyncIterator<StoreUpdate>,
): Promise<StoreUpdate> {
  for (;;) {
    const { value } = await watch.next() as { value: StoreUpdate };
    if (value.changes.length > 0) return value;
  }
}

/** Tries again for as long as the store is not able to answer. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  const outcome = await eventually(async () => {
    try {
      return { value: await work() };
    } catch (error) {
      if (isStoreError(error, "unreachable")) throw error;
      return { error };
    }
  });
  if ("error" in outcome) throw outcome.error;
  return outcome.value;
}

Deno.test("EtcdStore gives a lease that ends when it is not renewed: the member goes, the reservation stays", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store({ leaseSeconds: 1 });
  const { revision } = await store.list();
  const lease = await claim(store, "a", "10.244.1.0/24");
  assert(lease !== undefined);
  const watch = store.watch(revision)[Symbol.asyncIterator]();
  const made = await changes(watch);
  assert(made.changes.some(({ kind, now }) => kind === "member" && now));
  const value = await changes(watch);
  assertEquals(value.changes, [{ kind: "member", name: "a" }]);
  await watch.return?.();
  assertEquals(await store.renew(lease), undefined);
  const { members, reservations } = await store.list();
  assertEquals(members, []);
  assertEquals(reservations.map(({ owner }) => owner), ["a"]);
  // Somebody else may take it, since its owner is not there.
  assert(await claim(store, "b", "10.244.1.0/24") !== undefined);
  const again = await store.list();
  assertEquals(again.reservations.map(({ owner }) => owner), ["b"]);
  // And then a may not.
  assertEquals(await claim(store, "a", "10.244.1.0/24"), undefined);
});

Deno.test("EtcdStore lets one of twenty have a network that all claim at the same instant", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store();
  const basis = await store.list();
  const claims = Array.from({ length: 20 }, (_, i) =>
    store.claim({
      name: `n${i}`,
      podCidrs: ["10.244.1.0/24"],
      text: "{}",
      settings: "{}",
      basis,
    }));
  const won = (await Promise.all(claims)).filter((lease) =>
    lease !== undefined
  );
  assertEquals(won.length, 1);
  assertEquals((await store.list()).members.length, 1);
});

Deno.test("EtcdStore releases what is the lease's own, and nothing of a successor", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store();
  const node = { name: "a", podCidrs: ["10.244.1.0/24"] };
  const first = await claim(store, "a", "10.244.1.0/24");
  const second = await claim(store, "a", "10.244.1.0/24");
  assert(first !== undefined && second !== undefined);
  await store.release(first, node);
  assertEquals(await names(store), ["a"]);
  assertEquals((await store.list()).reservations.length, 1);
  await store.release(second, node);
  assertEquals(await names(store), []);
  assertEquals((await store.list()).reservations.length, 0);
  await store.release(second, node);
});

Deno.test("EtcdStore lists more than fits in a page, at one moment", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store();
  for (let group = 0; group < 21; group++) {
    await etcd.call(0, "kv/txn", {
      success: Array.from({ length: 100 }, (_, i) => ({
        request_put: {
          key: btoa(`/podnet/test/members/n${group}-${i}`),
          value: btoa("{}"),
        },
      })),
    });
  }
  const { members } = await store.list();
  assertEquals(new Set(members.map(({ name }) => name)).size, 2100);
});

Deno.test("EtcdStore says that a moment is compacted, and keeps clusters apart", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store();
  await using other = etcd.store({ cluster: "other" });
  const { revision } = await store.list();
  await claim(store, "a", "10.244.1.0/24");
  await claim(store, "b", "10.244.2.0/24");
  assertEquals(await names(other), []);
  await etcd.compact();
  const error = await assertRejects(
    () => Array.fromAsync(store.watch(revision)),
    StoreError,
  );
  assertEquals(error.code, "gap");
});

Deno.test("EtcdStore says that the etcd is not as far as it was", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store();
  await claim(store, "a", "10.244.1.0/24");
  const { revision } = await store.list();
  const watch = store.watch(revision)[Symbol.asyncIterator]();
  assertEquals((await watch.next()).value, { revision, changes: [] });
  await watch.return?.();
  const error = await assertRejects(
    () =>
      store.watch(`${BigInt(revision) + 1n}`)[Symbol.asyncIterator]().next(),
    StoreError,
  );
  assertEquals(error.code, "lost");
});

Deno.test("EtcdStore goes on after etcd was killed and started again", async () => {
  await using etcd = await Etcd.start();
  await using store = etcd.store({ leaseSeconds: 60 });
  const lease = await claim(store, "a", "10.244.1.0/24");
  assert(lease !== undefined);
  const { revision } = await store.list();
  const told: StoreUpdate[] = [];
  const broken = assertRejects(async () => {
    for await (const update of store.watch(revision)) told.push(update);
  }, StoreError);
  await claim(store, "b", "10.244.2.0/24");
  await etcd.kill();
  assertEquals((await broken).code, "unreachable");
  const failures = await Promise.all([
    assertRejects(() => store.list(), StoreError),
    assertRejects(() => store.renew(lease), StoreError),
  ]);
  assertEquals(failures.map(({ code }) => code), [
    "unreachable",
    "unreachable",
  ]);
  etcd.spawn();
  await etcd.answers();
  assert(await patiently(() => store.renew(lease)) !== undefined);
  const last = told.at(-1)?.revision ?? revision;
  // A connection that was kept may turn out to be one to the etcd that was killed.
  const value = await patiently(async () => {
    const again = store.watch(last)[Symbol.asyncIterator]();
    await again.next();
    await claim(store, "c", "10.244.3.0/24");
    const update = await changes(again);
    await again.return?.();
    return update;
  });
  const [first] = value.changes;
  assertEquals(
    first?.kind === "member" && first.name,
    told.some(({ changes }) => changes.length > 0) ? "c" : "b",
  );
});

Deno.test("EtcdStore asks the next member when one does not answer, and survives the loss of the leader", async () => {
  await using etcd = await Etcd.start({ members: 3 });
  await using store = etcd.store({ timeoutMs: 2000 });
  const lease = await patiently(() => claim(store, "a", "10.244.1.0/24"));
  assert(lease !== undefined);
  const leader = await etcd.leader();
  await etcd.kill(leader);
  assert(await patiently(() => store.renew(lease)) !== undefined);
  assertEquals(await patiently(() => names(store)), ["a"]);
  etcd.spawn(leader);
  await etcd.answers();
  // Frozen: it takes connections and says nothing.
  const frozen = await etcd.leader();
  const first = etcd.endpoints[frozen] ?? "";
  const others = etcd.endpoints.filter((one) => one !== first);
  // A watch at it is silent: what it is is found out by the next call, also where there is no other member.
  await using alone = etcd.store({ endpoints: [first], timeoutMs: 2000 });
  const watch = await patiently(async () => {
    const { revision } = await alone.list();
    const watch = alone.watch(revision)[Symbol.asyncIterator]();
    await watch.next();
    return watch;
  });
  const ended = assertRejects(() => watch.next(), StoreError);
  await etcd.freeze(frozen);
  await assertRejects(() => alone.renew(lease), StoreError);
  assertEquals((await ended).code, "unreachable");
  await using asking = etcd.store({
    endpoints: [first, ...others],
    timeoutMs: 2000,
  });
  assert(await patiently(() => asking.renew(lease)) !== undefined);
  assert(await patiently(() => store.renew(lease)) !== undefined);
  assertEquals(await patiently(() => names(store)), ["a"]);
  etcd.thaw(frozen);
});

Deno.test("EtcdStore asks the next member after a call that had no time to wait for one", async () => {
  await using etcd = await Etcd.start();
  using silent = Deno.listen({ hostname: "127.0.7.203", port: 2379 });
  const { hostname, port } = silent.addr as Deno.NetAddr;
  await using store = etcd.store({
    endpoints: [`http://${hostname}:${port}`, ...etcd.endpoints],
    timeoutMs: 60_000,
  });
  const enough = new RangeError("enough");
  // Several at once leave it once.
  const calls = [1, 2].map(() => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(enough), 100);
    return assertRejects(() => store.list({ signal: abort.signal }));
  });
  assertEquals(await Promise.all(calls), [enough, enough]);
  assertEquals(await names(store), []);
});

Deno.test("EtcdStore's watch ends when its member has lost the others", async () => {
  await using etcd = await Etcd.start({ members: 3 });
  const [endpoint = ""] = etcd.endpoints;
  await using store = etcd.store({ endpoints: [endpoint] });
  const { revision } = await patiently(() => store.list());
  const watch = store.watch(revision)[Symbol.asyncIterator]();
  await watch.next();
  const ended = assertRejects(() => watch.next(), StoreError);
  await Promise.all([etcd.kill(1), etcd.kill(2)]);
  assertEquals((await ended).code, "unreachable");
});

Deno.test("EtcdStore is a user with a password where etcd asks for one", async () => {
  await using etcd = await Etcd.start();
  await etcd.call(0, "auth/user/add", { name: "root", password: "secret" });
  await etcd.call(0, "auth/user/grant", { user: "root", role: "root" });
  await etcd.call(0, "auth/enable", {});
  await using stranger = etcd.store();
  await using liar = etcd.store({ user: "root", password: "guess" });
  for (const store of [stranger, liar]) {
    const error = await assertRejects(() => store.list(), StoreError);
    assertEquals(error.code, "refused");
  }
  await using store = etcd.store({ user: "root", password: "secret" });
  const lease = await claim(store, "a", "10.244.1.0/24");
  assert(lease !== undefined && await store.renew(lease) !== undefined);
  const { revision } = await store.list();
  const watch = store.watch(revision)[Symbol.asyncIterator]();
  await watch.next();
  const ended = assertRejects(() => watch.next(), StoreError);
  // Tokens are not kept over a restart: it gets another by itself.
  await etcd.kill();
  etcd.spawn();
  await ended;
  assertEquals(await patiently(() => names(store)), ["a"]);
});

Deno.test("EtcdStore shows its certificate, and checks the etcd's", async () => {
  await using pki = await certificates("127.0.7.200");
  await using etcd = await Etcd.start({ tls: pki.files, host: "127.0.7.200" });
  const { ca, cert, key } = pki.client;
  await using store = etcd.store({ ca, cert, key });
  assertEquals(await patiently(() => names(store)), []);
  assert(await claim(store, "a", "10.244.1.0/24") !== undefined);
  await using unknown = etcd.store({ ca });
  await using trusting = etcd.store({ cert, key });
  // As the runtime says it.
  const told = [[unknown, "received fatal alert"], [trusting, "UnknownIssuer"]];
  for (const [store, reason] of told as [ClusterStore, string][]) {
    const error = await assertRejects(() => store.list(), StoreError, reason);
    assertEquals(error.code, "unreachable");
  }
});

Deno.test("EtcdStore refuses what is no etcd", async () => {
  let answer = new Response("<html>", { status: 200 });
  await using server = Deno.serve(
    { hostname: "127.0.7.201", port: 2379, onListen() {} },
    () => answer.clone(),
  );
  const { hostname, port } = server.addr;
  const { EtcdStore } = await import("../../src/cluster/etcd/etcd_store.ts");
  await using store = new EtcdStore({
    endpoints: [`http://${hostname}:${port}`],
    cluster: "test",
    leaseSeconds: 2,
  });
  const answers = [
    "<html>",
    "[]",
    "{}",
    '{"header":{"revision":"1"},"kvs":[{}]}',
    '{"header":{"revision":"1"},"kvs":[{"key":"*"}]}',
    '{"header":{"revision":"x"}}',
  ];
  const basis = { revision: "1", members: [], reservations: [] };
  for (const TTL of ["0", "-1", "1e3"]) {
    answer = Response.json({ ID: "1", TTL });
    const claim = { name: "a", podCidrs: [], text: "", settings: "", basis };
    const error = await assertRejects(() => store.claim(claim), StoreError);
    assertEquals(error.code, "refused", TTL);
  }
  for (const body of answers) {
    answer = new Response(body);
    const error = await assertRejects(() => store.list(), StoreError);
    assertEquals(error.code, "refused", body);
  }
  answer = new Response("busy", { status: 503 });
  const error = await assertRejects(() => store.list(), StoreError);
  assertEquals(error.code, "unreachable");
});

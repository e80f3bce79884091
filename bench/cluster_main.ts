/**
 * What a cluster costs as it grows: the inputs of docs/scale.md.
 *
 *     deno task cluster-scale [NODES…]
 *
 * @module
 */
import { readMember, writeMember } from "../src/cluster/record.ts";
import { ClusterPaths } from "../src/cluster/cluster_paths.ts";
import type { EtcdStore } from "../src/cluster/etcd/etcd_store.ts";
import type { ClusterMember } from "../src/cluster/member.ts";
import { takePlace } from "../src/cluster/place.ts";
import { Roster } from "../src/cluster/roster.ts";
import { complete } from "../src/cluster/settings.ts";
import type { StoreListing } from "../src/cluster/store.ts";
import { Cidr } from "../src/net/cidr.ts";
import { inTurns } from "../src/steps.ts";
import { createLab } from "../src/testing/mod.ts";
import { Etcd } from "../tests/cluster/etcd.ts";

const settings = complete({
  // Room for 65,536 nodes.
  podCidrs: ["10.0.0.0/8", "fd00:10::/32"].map(Cidr.parse),
});
if (settings === undefined) throw new TypeError("no settings");

function synthetic(number: number): ClusterMember {
  const [high, low] = [number >> 8, number & 0xff];
  const hex = (byte: number) => byte.toString(16).padStart(2, "0");
  return {
    name: `node-${String(number).padStart(5, "0")}`,
    podCidrs: [
      `10.${high}.${low}.0/24`,
      `fd00:10:${(number + 1).toString(16)}::/64`,
    ],
    addresses: [`172.${16 + (high >> 4)}.${high & 15}.${low}`],
    vxlan: {
      vni: 112,
      port: 8472,
      mac: `02:00:00:${hex(high)}:${hex(low)}:01`,
    },
  };
}

function say(what: string, value: number, unit: string): void {
  const text = value >= 100 ? value.toFixed(0) : value.toPrecision(3);
  console.log(`${what.padEnd(58)} ${text.padStart(9)} ${unit}`);
}

/** How long it takes, and for how long nothing else could run meanwhile. */
async function timed<T>(
  what: string,
  work: () => T | Promise<T>,
): Promise<T> {
  let last = performance.now();
  let longest = 0;
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const ticking = setInterval(tick, 1);
  const start = last;
  const result = await work();
  const took = performance.now() - start;
  tick();
  clearInterval(ticking);
  say(what, took, `ms, ${longest.toFixed(0)} of them in one go`);
  return result;
}

async function put(etcd: Etcd, members: readonly ClusterMember[]) {
  for (let i = 0; i < members.length; i += 40) {
    await etcd.call(0, "kv/txn", {
      success: members.slice(i, i + 40).flatMap((member) => [
        [`members/${member.name}`, writeMember(member)],
        ...member.podCidrs.map((podCidr) => [
          `networks/${podCidr.replace("/", "-")}`,
          member.name,
        ]),
      ]).map(([key, value]) => ({
        request_put: {
          key: btoa(`/podnet/test/${key}`),
          value: btoa(value ?? ""),
        },
      })),
    });
  }
}

/** What one node does with so many others. */
async function oneOf(count: number): Promise<void> {
  console.log(`\n${count} nodes`);
  const members = Array.from({ length: count }, (_, i) => synthetic(i));
  await using etcd = await Etcd.start();
  await put(etcd, members);
  await using store = etcd.store();
  const listing: StoreListing = await timed(
    "listing them, by a node that joins",
    () => store.list(),
  );
  if (settings === undefined) return;
  const roster = new Roster(settings);
  await timed("reading their records, once", () => {
    roster.reset(listing);
    return inTurns(roster.view());
  });
  await timed(
    "seeing who is there, at each pass",
    () => inTurns(roster.view()),
  );
  for (const backend of ["vxlan", "host-gw"] as const) {
    await using lab = await createLab({ nodes: 1 });
    const { node } = lab;
    const paths = ClusterPaths.open(node, { backend });
    const self: ClusterMember = {
      name: "self",
      podCidrs: node.podCidrs,
      addresses: [lab.nodes[0].addresses[0] ?? ""],
      vxlan: { vni: 112, port: 8472, mac: "02:00:00:ff:ff:ff" },
    };
    // With routes they are on the segment.
    const others = backend === "vxlan" ? members : members.map((one, i) => ({
      ...one,
      addresses: [`192.168.50.${2 + i % 250}`],
    })).slice(0, 250);
    await timed(
      `${backend}: ${others.length} paths, the first time`,
      () => paths.apply(self, others),
    );
    await timed(
      `${backend}: one goes`,
      () => paths.apply(self, others.slice(1)),
    );
    await timed(`${backend}: it comes back`, () => paths.apply(self, others));
    await timed(`${backend}: a look at everything`, () => paths.repair());
  }
}

/** What an etcd does for so many nodes at once. */
async function store(watchers: number): Promise<void> {
  console.log(`\none etcd, ${watchers} nodes at once`);
  await using etcd = await Etcd.start();
  const stores = Array.from(
    { length: watchers },
    () => etcd.store({ leaseSeconds: 60, timeoutMs: 20_000 }),
  );
  const wish = (number: number) => ({
    cluster: "test",
    name: `n${number}`,
    wanted: { podCidrs: ["10.0.0.0/8"].map(Cidr.parse) },
    held: [],
    networks: [],
    needed: new Map(),
    formerLease: undefined,
    endpoint: () => ({ addresses: [`172.16.${number >> 8}.${number & 255}`] }),
  });
  const places = await timed(
    "all join at the same instant",
    () =>
      Promise.all(
        stores.map((store, i) =>
          takePlace(store, wish(i), { leaseMs: 60_000, timeoutMs: 60_000 })
        ),
      ),
  );
  const networks = new Set(places.flatMap(({ self }) => self.podCidrs));
  say("different networks that they have", networks.size, "");
  const start = performance.now();
  for (let round = 0; round < 5; round++) {
    await Promise.all(
      stores.map((store: EtcdStore, i) => {
        const place = places[i];
        return place && store.renew(place.lease);
      }),
    );
  }
  const seconds = (performance.now() - start) / 1000;
  say("renewals, client and etcd on two cores", watchers * 5 / seconds, "/s");
  const { revision } = await etcd.store().list();
  const end = new AbortController();
  let listening = 0;
  let heard = 0;
  const ready = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const watching = stores.map(async (store) => {
    try {
      for await (
        const { changes } of store.watch(revision, { signal: end.signal })
      ) {
        if (changes.length === 0 && ++listening === watchers) ready.resolve();
        if (changes.length > 0 && ++heard === watchers) done.resolve();
      }
    } catch (error) {
      if (!end.signal.aborted) throw error;
    }
  });
  await ready.promise;
  await timed("one joins, and all others have been told", async () => {
    await put(etcd, [synthetic(9)]);
    await done.promise;
  });
  end.abort();
  await Promise.all(watching);
  for (const store of stores) await store[Symbol.asyncDispose]();
}

const text = writeMember(synthetic(12345));
say("a member's record", text.length, "bytes");
if (
  settings === undefined || typeof readMember("x", text, settings) !== "string"
) {
  throw new TypeError("read under another name");
}
const counts = Deno.args.map(Number);
for (const count of counts.length > 0 ? counts : [200, 5000]) {
  await oneOf(count);
}
await store(200);

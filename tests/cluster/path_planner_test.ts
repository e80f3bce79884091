/** A plan that follows its members is, after whatever they do, the plan of all of them made anew; and so are its parts. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ClusterMember } from "../../src/cluster/member.ts";
import { changesBetween, type Part, partsOf } from "../../src/cluster/parts.ts";
import {
  parsePathOptions,
  type PathBackend,
} from "../../src/cluster/path_options.ts";
import type { PathFacts } from "../../src/cluster/path_plan.ts";
import { PathPlanner, peersOf } from "../../src/cluster/path_planner.ts";
import { renderPlan } from "../../src/cluster/path_text.ts";
import { planPaths } from "../../src/cluster/plan_paths.ts";
import { peerSets } from "../../src/hostport/peers.ts";
import { elementsWithout } from "../../src/nftables/element.ts";
import { atOnce } from "../../src/steps.ts";

const NUMBERS = new Map([["eth0", 2], ["eth1", 3], ["podnet-vx4", 4], [
  "podnet-vx6",
  5,
]]);

/** So few of each that many want the same. */
const name = fc.constantFrom("a", "b", "c", "d", "e", "f", "self");
const cidr4 = fc.constantFrom(
  "10.244.0.0/16",
  "10.244.2.0/23",
  "10.244.2.0/24",
  "10.244.3.0/24",
  "10.244.4.0/24",
  "10.244.4.128/25",
  "10.9.0.0/24",
  "192.168.50.0/25",
  "10.244.2.1/24",
);
const cidr6 = fc.constantFrom(
  "fd00:10:244:2::/64",
  "fd00:10:244:2::/63",
  "fd00:10:244:3::/64",
  "fd00:10:244:4::/64",
);
const address = fc.constantFrom(
  "192.168.50.2",
  "192.168.50.3",
  "192.168.51.2",
  "192.168.51.3",
  "10.244.4.7",
  "10.244.3.1",
  "fd50::2",
  "fd51::3",
  "fd00:10:244:4::9",
  "127.0.0.1",
);
const member: fc.Arbitrary<ClusterMember> = fc.record({
  name,
  podCidrs: fc.oneof(
    fc.tuple(cidr4),
    fc.tuple(cidr6),
    fc.tuple(cidr4, cidr6),
  ),
  addresses: fc.array(address, { minLength: 1, maxLength: 3 }),
  vxlan: fc.record({
    vni: fc.constantFrom(112, 112, 112, 7),
    port: fc.constant(8472),
    mac: fc.constantFrom(1, 2, 3, 4, 5, 6).map((n) => `02:00:00:00:00:0${n}`),
  }),
  wireguard: fc.record({
    publicKey: fc.constantFrom("A", "B", "C").map((c) => c.repeat(43) + "="),
    port: fc.constant(51820),
  }),
}, { requiredKeys: ["name", "podCidrs", "addresses"] });

const facts: fc.Arbitrary<PathFacts> = fc.record({
  underlay: fc.record({
    addresses: fc.constant(["192.168.50.1", "fd50::1"]),
    mtu: fc.constantFrom(1500, 9000),
    networks: fc.subarray([
      { network: "192.168.50.0/24", link: "eth0", index: 2 },
      { network: "192.168.50.0/25", link: "eth1", index: 3 },
      { network: "fd50::/64", link: "eth0", index: 2 },
    ]),
  }),
  self: fc.record({
    name: fc.constant("self"),
    podCidrs: fc.subarray(["10.244.1.0/24", "fd00:10:244:1::/64"], {
      minLength: 1,
    }),
    addresses: fc.subarray(["192.168.50.1", "fd50::1"], { minLength: 1 }),
    vxlan: fc.constant({ vni: 112, port: 8472, mac: "02:00:00:00:00:01" }),
    wireguard: fc.constant({ publicKey: "S".repeat(43) + "=", port: 51820 }),
  }, { requiredKeys: ["name", "podCidrs", "addresses"] }),
  options: fc.record({
    backend: fc.constantFrom<PathBackend[]>(
      "auto",
      "auto",
      "vxlan",
      "host-gw",
      "wireguard",
    ),
    clusterCidrs: fc.constantFrom<string[][]>(
      [],
      ["10.244.0.0/16", "fd00:10:244::/48"],
      // Networks around a member's, and the same as one.
      ["10.244.0.0/16", "10.244.2.0/24", "fd00:10:244::/48"],
    ),
  }).map(parsePathOptions),
});

type Event =
  | { readonly kind: "is"; readonly member: ClusterMember }
  | { readonly kind: "twice"; readonly member: ClusterMember }
  | { readonly kind: "goes"; readonly name: string }
  | { readonly kind: "order"; readonly by: number }
  | { readonly kind: "facts"; readonly facts: PathFacts };

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("is" as const), member }),
  },
  fc.record({ kind: fc.constant("twice" as const), member }),
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("goes" as const), name }),
  },
  fc.record({ kind: fc.constant("order" as const), by: fc.nat(6) }),
  fc.record({ kind: fc.constant("facts" as const), facts }),
);

function after(
  members: readonly ClusterMember[],
  event: Event,
): readonly ClusterMember[] {
  const without = (name: string) =>
    members.filter((member) => member.name !== name);
  switch (event.kind) {
    case "is":
      return [...without(event.member.name), event.member];
    case "twice":
      return [...members, event.member];
    case "goes":
      return without(event.name);
    case "order":
      return [...members.slice(event.by), ...members.slice(0, event.by)];
    case "facts":
      return members;
  }
}

const text = (parts: Iterable<Part>) =>
  [...parts].map(({ key, value, text }) => `${key} = ${value}: ${text}`).sort();

const elements = (found: ReturnType<typeof peerSets>) =>
  found.map(({ name, elements }) => ({
    name,
    elements: elements.map(({ key, keyEnd = key }) =>
      `${key.toHex()}-${keyEnd.toHex()}`
    ).sort(),
  }));

Deno.test("joins, changes, conflicts, departures and other networks: by increments all comes to what a whole pass makes", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      facts,
      fc.array(fc.array(event, { maxLength: 4 }), { maxLength: 12 }),
      (facts, passes) => {
        let planner = new PathPlanner(facts);
        let now = facts;
        let members: readonly ClusterMember[] = [];
        /** What is in the kernel, by increments alone. */
        let kernel = new Map<string, Part>();
        let sets = peerSets(planner.peers);
        for (const events of passes) {
          for (const one of events) {
            members = after(members, one);
            if (one.kind !== "facts") continue;
            now = one.facts;
            planner = new PathPlanner(now);
            kernel = new Map();
            sets = peerSets(planner.peers);
          }
          const { before, now: shares } = atOnce(planner.update(members));
          const changes = atOnce(
            changesBetween(
              atOnce(partsOf(before, NUMBERS)),
              atOnce(partsOf(shares, NUMBERS)),
            ),
          );
          for (const { does, part } of changes) {
            // No request that a kernel would refuse.
            assertEquals(kernel.has(part.key), does !== "add", part.text);
            if (does === "remove") kernel.delete(part.key);
            else kernel.set(part.key, part);
          }
          const was = peerSets(peersOf(before));
          sets = peerSets(peersOf(shares)).map((set, i) => {
            const there = was[i]?.elements ?? [];
            const found = sets[i]?.elements ?? [];
            const gone = elementsWithout(there, set.elements);
            const come = elementsWithout(set.elements, there);
            assertEquals(elementsWithout(gone, found), [], set.name);
            assertEquals(elementsWithout(come, found), come, set.name);
            return {
              ...set,
              elements: [...elementsWithout(found, gone), ...come],
            };
          });
          const whole = planPaths({ ...now, members });
          assertEquals(renderPlan(planner.plan), renderPlan(whole));
          assertEquals(planner.plan, whole);
          const fresh = new PathPlanner(now);
          atOnce(fresh.update(members));
          const wanted = atOnce(partsOf(fresh.shares, NUMBERS));
          assertEquals(text(kernel.values()), text(wanted.values()));
          assertEquals(elements(sets), elements(peerSets(whole.peers)));
          for (const { code, reason } of whole.refused) {
            seen.add(`${code} ${/this node|name|MAC| is of /.exec(reason)}`);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
  // What makes it hard has been there.
  for (
    const what of [
      "Conflict  is of ",
      "Conflict this node",
      "Conflict MAC",
      "Conflict name",
      "NoTunnel null",
    ]
  ) assert([...seen].some((one) => one.startsWith(what)), what);
});

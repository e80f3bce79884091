/**
 * What clusters are kept in: records that other nodes, and strangers, have written; answers of what says that it is an
 * etcd; files of peers.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ClusterKeys } from "../../src/cluster/etcd/keys.ts";
import { Lines } from "../../src/cluster/etcd/lines.ts";
import {
  decode,
  grantResponse,
  keepAliveResponse,
  rangeResponse,
  txnResponse,
  watchResponse,
} from "../../src/cluster/etcd/wire.ts";
import {
  type JoinOptions,
  parseJoinOptions,
} from "../../src/cluster/join_options.ts";
import { readMember, writeMember } from "../../src/cluster/record.ts";
import { Roster } from "../../src/cluster/roster.ts";
import { complete, readSettings } from "../../src/cluster/settings.ts";
import { parseTable } from "../../src/cluster/static_store.ts";
import {
  type StoreChange,
  StoreError,
  type StoreListing,
} from "../../src/cluster/store.ts";
import { isSandboxError } from "../../src/errors.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { documents } from "./documents.ts";
import { damaged } from "./spec_targets.ts";
import { attempt, type Target, target } from "./target.ts";
import { atOnce } from "../../src/steps.ts";

const FULL_MEMBER = {
  name: "a",
  podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
  addresses: ["192.168.50.1", "fd50::1"],
  vxlan: { vni: 112, port: 8472, mac: "02:00:00:00:00:01" },
  wireguard: {
    publicKey: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
    port: 51820,
  },
};
const FULL_SETTINGS = {
  podCidrs: ["10.244.0.0/16", "fd00:10:244::/48"],
  nodePrefixLength4: 24,
  nodePrefixLength6: 64,
  backend: "auto",
  vni: 112,
  vxlanPort: 8472,
};
const KV = {
  key: "L3BvZG5ldC9jL21lbWJlcnMvYQ==",
  create_revision: "2",
  mod_revision: "3",
  version: "1",
  value: "e30=",
  lease: "7587883220250183940",
};
const FULL_ANSWERS = [
  [rangeResponse, {
    header: { cluster_id: "1", revision: "7" },
    kvs: [KV, { ...KV, value: undefined }],
    more: true,
    count: "2",
  }],
  [grantResponse, { header: {}, ID: "7587883220250183940", TTL: "30" }],
  [keepAliveResponse, { result: { header: {}, ID: "1", TTL: "30" } }],
  [txnResponse, {
    header: {},
    succeeded: true,
    responses: [{ response_range: { kvs: [KV], count: "1" } }],
  }],
  [watchResponse, {
    result: {
      header: { revision: "7" },
      created: false,
      canceled: true,
      compact_revision: "3",
      cancel_reason: "x",
      events: [{ type: "DELETE", kv: KV, prev_kv: KV }, { kv: KV }],
    },
  }],
  [watchResponse, { error: { grpc_code: 14, message: "no leader" } }],
] as const;
const FULL_TABLE = {
  ...FULL_SETTINGS,
  nodes: [FULL_MEMBER, { ...FULL_MEMBER, name: "b", podCidrs: [] }],
};
const FULL_OPTIONS = {
  etcd: {
    endpoints: ["http://127.0.0.1:2379", "https://[::1]:2379/"],
    prefix: "/podnet/x",
    user: "root",
    password: "secret",
    ca: "-----BEGIN CERTIFICATE-----",
    cert: "-----BEGIN CERTIFICATE-----",
    key: "-----BEGIN PRIVATE KEY-----",
    timeoutMs: 1000,
  },
  cluster: { name: "default", ...FULL_SETTINGS },
  node: { name: "a", stateDir: "/run/podnet", mtu: 1400 },
  addresses: ["192.168.50.1", "fd50::1"],
  leaseSeconds: 60,
  timeoutMs: 30_000,
};

const settings = complete({
  podCidrs: FULL_SETTINGS.podCidrs.map(Cidr.parse),
});

/** Few names and networks, so that they meet. */
const change: fc.Arbitrary<StoreChange> = fc.oneof(
  fc.record({
    name: fc.constantFrom("a", "b", "c", "../x"),
    network: fc.nat({ max: 3 }),
    kind: fc.constantFrom("good", "damaged", "gone"),
    revision: fc.nat({ max: 5 }).map(String),
  }).map(({ name, network, kind, revision }): StoreChange => {
    const podCidrs = [`10.244.${network}.0/24`];
    const text = JSON.stringify({ ...FULL_MEMBER, name, podCidrs });
    // A revision stands for one text.
    const now = {
      name,
      text: kind === "good" ? text : "{",
      revision: `${revision} ${network} ${kind}`,
    };
    return { kind: "member", name, ...kind !== "gone" && { now } };
  }),
  fc.record({
    podCidr: fc.nat({ max: 3 }).map((n) => `10.244.${n}.0/24`),
    owner: fc.constantFrom("a", "b", "c", undefined),
  }).map(({ podCidr, owner }): StoreChange => ({
    kind: "reservation",
    podCidr,
    ...owner !== undefined && { now: { podCidr, owner, revision: "1" } },
  })),
);

/** What a listing tells after these changes. */
function listingAfter(changes: readonly StoreChange[]): StoreListing {
  const members = new Map<string, StoreListing["members"][number]>();
  const reservations = new Map<
    string,
    StoreListing["reservations"][number]
  >();
  for (const change of changes) {
    if (change.kind === "member") {
      members.delete(change.name);
      if (change.now !== undefined) members.set(change.name, change.now);
    } else if (change.kind === "reservation") {
      reservations.delete(change.podCidr);
      if (change.now !== undefined) {
        reservations.set(change.podCidr, change.now);
      }
    }
  }
  return {
    revision: "1",
    members: [...members.values()],
    reservations: [...reservations.values()],
  };
}

/** The targets. */
export const clusterTargets: readonly Target[] = [
  target("members of a cluster", documents(FULL_MEMBER), (text) => {
    assert(settings !== undefined);
    const member = readMember("a", text, settings);
    if (typeof member === "string") return;
    assertEquals(readMember("a", writeMember(member), settings), member);
    for (const podCidr of member.podCidrs) {
      assertEquals(String(Cidr.parse(podCidr)), podCidr);
    }
  }, { runs: 800 }),
  target("settings of a cluster", documents(FULL_SETTINGS), (text) => {
    const found = readSettings(text);
    if (typeof found === "string") return;
    assertEquals(readSettings(JSON.stringify(found)), found);
  }, { runs: 400 }),
  ...FULL_ANSWERS.map(([schema, full], i) =>
    target(
      `answers of an etcd, ${i + 1}`,
      damaged(full as unknown as Record<string, unknown>),
      (answer) => {
        const keys = new ClusterKeys("/podnet", "c");
        const found: unknown = attempt(
          () => decode<unknown>(schema, answer),
          StoreError,
        );
        if (found === undefined || schema !== rangeResponse) return;
        for (const kv of decode(rangeResponse, answer).kvs) {
          keys.change(kv, false);
          keys.change(kv, true);
        }
      },
      { runs: 300 },
    )
  ),
  target(
    "lines of a stream",
    fc.tuple(
      fc.array(fc.string({ unit: "grapheme" }), { maxLength: 8 }),
      fc.array(fc.nat({ max: 64 }), { maxLength: 8 }),
    ),
    ([texts, cuts]) => {
      const whole = texts.map((text) => text.replaceAll("\n", ""))
        .filter((text) => text.trim() !== "" && text.isWellFormed());
      const bytes = new TextEncoder().encode(
        whole.map((text) => `${text}\n`).join(""),
      );
      const lines = new Lines(1 << 20);
      const found: string[] = [];
      let at = 0;
      for (const size of [...cuts, bytes.length]) {
        found.push(...lines.push(bytes.subarray(at, at + size)));
        at += size;
      }
      assertEquals(found, whole.map((text) => text.replace(/^\ufeff/, "")));
    },
    { runs: 400 },
  ),
  target("files of peers", documents(FULL_TABLE), (text) => {
    attempt(() => parseTable("/peers.json", text), StoreError);
  }, { runs: 400 }),
  target("options of a join", damaged(FULL_OPTIONS), (options) => {
    try {
      parseJoinOptions(options as JoinOptions);
    } catch (error) {
      assert(isSandboxError(error, "InvalidSpec"), `${error}`);
      assert(error.context.problems.length > 0);
    }
  }, { runs: 800 }),
  target(
    "what a watch tells, and a listing",
    fc.array(change, { maxLength: 30 }),
    (changes) => {
      assert(settings !== undefined);
      const followed = new Roster(settings);
      for (const one of changes) {
        followed.apply({ revision: "1", changes: [one] });
        atOnce(followed.view());
      }
      const listed = new Roster(settings);
      listed.reset(listingAfter(changes));
      assertEquals(atOnce(followed.view()), atOnce(listed.view()));
      const networks = atOnce(listed.view()).members.flatMap(({ podCidrs }) =>
        podCidrs
      );
      assert(networks.length <= 3);
    },
    { runs: 600 },
  ),
];

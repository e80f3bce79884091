import { assert, assertEquals, assertThrows } from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import { ownEndpoint } from "../../src/cluster/endpoint.ts";
import type { ClusterMember } from "../../src/cluster/member.ts";
import { readMember, writeMember } from "../../src/cluster/record.ts";
import { Roster } from "../../src/cluster/roster.ts";
import {
  type ClusterSettings,
  complete,
  readSettings,
} from "../../src/cluster/settings.ts";
import type { StoredMember, StoreListing } from "../../src/cluster/store.ts";
import { chooseSubnets } from "../../src/cluster/subnets.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { Etcd } from "./etcd.ts";
import { Machines } from "./machines.ts";
import { atOnce } from "../../src/steps.ts";

function settingsOf(...podCidrs: readonly string[]): ClusterSettings {
  const settings = complete({ podCidrs: podCidrs.map(Cidr.parse) });
  if (settings === undefined) throw new TypeError("no networks");
  return settings;
}

const settings = settingsOf("10.244.0.0/16", "fd00:10:244::/48");

const member: ClusterMember = {
  name: "a",
  podCidrs: ["10.244.1.0/24", "fd00:10:244:1::/64"],
  addresses: ["192.168.50.1", "fd50::1"],
  vxlan: { vni: 112, port: 8472, mac: "02:00:00:00:00:01" },
  wireguard: {
    publicKey: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
    port: 51820,
  },
};

/** Records that no member has, by what is wrong with them. */
export const DAMAGED: Readonly<Record<string, string>> = {
  "it is no JSON": "{",
  "it is no object": "[]",
  "name: Invalid key": "{}",
  "it says that it is": JSON.stringify({ ...member, name: "b" }),
  "name: write": JSON.stringify({ ...member, name: "../a" }),
  "podCidrs: is empty": JSON.stringify({ ...member, podCidrs: [] }),
  "podCidrs: write at most 2": JSON.stringify({
    ...member,
    podCidrs: ["10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"],
  }),
  "10.244.0.0/16 is no network of a node": JSON.stringify({
    ...member,
    podCidrs: ["10.244.0.0/16"],
  }),
  "podCidrs.0:": JSON.stringify({ ...member, podCidrs: ["10.244.1.1/24"] }),
  "addresses.0:": JSON.stringify({ ...member, addresses: ["::ffff:1.2.3.4"] }),
  "addresses: is empty": JSON.stringify({ ...member, addresses: [] }),
  "vxlan.mac:": JSON.stringify({
    ...member,
    vxlan: { ...member.vxlan, mac: "ff:ff:ff:ff:ff:ff" },
  }),
  "vxlan.vni:": JSON.stringify({
    ...member,
    vxlan: { ...member.vxlan, vni: 0 },
  }),
  "wireguard.publicKey:": JSON.stringify({
    ...member,
    wireguard: { publicKey: "short", port: 1 },
  }),
  "it has": JSON.stringify({ ...member, more: "x".repeat(5000) }),
};

Deno.test("readMember() reads what writeMember() wrote, and what a later version adds is no fault", () => {
  assertEquals(readMember("a", writeMember(member), settings), member);
  const later = JSON.stringify({ ...member, geneve: { vni: 1 } });
  assertEquals(readMember("a", later, settings), member);
});

Deno.test("readMember() says what is wrong with a damaged record", () => {
  for (const [reason, text] of Object.entries(DAMAGED)) {
    const told = readMember("a", text, settings);
    assertEquals(typeof told, "string", text);
    assertEquals(String(told).slice(0, reason.length), reason);
  }
});

Deno.test("readSettings() says what is wrong with damaged settings", () => {
  const texts: Record<string, string> = {
    "{": "they are no JSON",
    "{}": "they have no podCidrs",
    '{"podCidrs":"x"}': "podCidrs:",
    '{"podCidrs":["10.244.0.0/16"],"vni":0}': "vni:",
    '{"podCidrs":["10.244.0.0/16"],"extra":0}': "extra:",
  };
  for (const [text, reason] of Object.entries(texts)) {
    const told = readSettings(text);
    assertEquals(String(told).slice(0, reason.length), reason);
  }
  assertEquals(readSettings(JSON.stringify(settings)), settings);
});

Deno.test("Roster refuses who has a network that is reserved for another, whatever came first", () => {
  const b = { ...member, name: "b", addresses: ["192.168.50.2"] };
  const members = [member, b].map((one) => ({
    name: one.name,
    text: writeMember(one),
    revision: "1",
    lease: "1",
  }));
  for (const listed of [members, members.toReversed()]) {
    const roster = new Roster(settings);
    roster.reset({
      revision: "1",
      members: listed,
      reservations: [{ podCidr: "10.244.1.0/24", owner: "b", revision: "1" }],
    });
    assertEquals(atOnce(roster.view()).members.map(({ name }) => name), ["b"]);
    assertEquals(atOnce(roster.view()).refused, [{
      name: "a",
      reason: '10.244.1.0/24 is reserved for "b"',
    }]);
    roster.apply({
      revision: "2",
      changes: [{ kind: "reservation", podCidr: "10.244.1.0/24" }],
    });
    assertEquals(atOnce(roster.view()).members.map(({ name }) => name), [
      "a",
      "b",
    ]);
  }
});

Deno.test("Roster tells of names and settings that others have written, and of neither at length", () => {
  const roster = new Roster(settings);
  const long = "x".repeat(100_000);
  const listing = (now: unknown) => ({
    revision: "1",
    settings: { text: JSON.stringify(now), revision: "1" },
    members: [{ name: long, text: "{}", revision: "1", lease: "1" }],
    reservations: [],
  });
  const told = () =>
    atOnce(roster.view()).refused.map(({ name, reason }) =>
      `${name.slice(0, 10)} ${name.length} ${reason}`
    );
  assertEquals(told(), []);
  roster.reset(listing(settings));
  assertEquals(told().length, 1);
  assertEquals(told()[0]?.slice(0, 14), "xxxxxxxxxx 65 ");
  const change = (text: string | undefined) =>
    roster.apply({
      revision: "2",
      changes: [{
        kind: "settings",
        ...text !== undefined && { now: { text, revision: "2" } },
      }],
    });
  change(JSON.stringify({ ...settings, backend: "vxlan", vni: 7 }));
  assertEquals(
    told()[0],
    "settings 8 of the cluster are others by now: backend vxlan, not auto; VXLAN network identifier 7, not 112: let this node join again to go by them",
  );
  change(`"${long}"`);
  assertEquals(atOnce(roster.view()).refused[0]?.name, "settings");
  // Others come, or the first node writes them again.
  change(undefined);
  assertEquals(told().length, 1);
  roster.reset(listing({ podCidrs: ["10.0.0.0/8"] }));
  assertEquals(told().length, 2);
  for (const { reason } of atOnce(roster.view()).refused) {
    assert(reason.length <= 500);
  }
});

Deno.test("Roster knows the tunnel of a node in a file by its name, as the node itself does", () => {
  const { vxlan: _, wireguard: __, ...plain } = member;
  const roster = new Roster(settings);
  const stored = { name: "a", text: JSON.stringify(plain), revision: "1" };
  const listing = { revision: "1", members: [stored], reservations: [] };
  roster.reset(listing);
  const own = ownEndpoint("a", { addresses: plain.addresses, mtu: 9000 }, {
    ...settings,
    clusterCidrs: [],
  });
  assertEquals(atOnce(roster.view()).members[0]?.vxlan, own.vxlan);
  // One that says of itself that it has none, has none.
  const leased = new Roster(settings);
  leased.reset({ ...listing, members: [{ ...stored, lease: "1" }] });
  assertEquals(atOnce(leased.view()).members, [plain]);
});

Deno.test("chooseSubnets() takes what is the node's, then what is free, then what nobody uses", () => {
  const small = settingsOf("10.244.0.0/22", "fd00:10:244::/62");
  const wish = {
    cluster: "c",
    name: "a",
    held: [],
    networks: [],
    random: () => 0.99,
  };
  const reserved = (owner: string, ...podCidrs: readonly string[]) =>
    podCidrs.map((podCidr) => ({ podCidr, owner, revision: "1" }));
  const listing: StoreListing = {
    revision: "1",
    members: ["b", "c", "d"].map((name) => ({
      name,
      text: "",
      revision: "1",
      lease: "1",
    })),
    reservations: reserved("b", "10.244.3.0/24", "fd00:10:244:3::/64"),
  };
  const choose = (extra: typeof listing.reservations = [], more = {}) =>
    chooseSubnets(small, {
      ...listing,
      reservations: [...listing.reservations, ...extra],
    }, { ...wish, ...more });
  // The fourth of four is taken: on from the first.
  assertEquals(choose(), ["10.244.0.0/24", "fd00:10:244::/64"]);
  assertEquals(choose(reserved("a", "10.244.2.0/24")), [
    "10.244.2.0/24",
    "fd00:10:244::/64",
  ]);
  assertEquals(choose([], { held: ["10.244.1.0/24"] })[0], "10.244.1.0/24");
  // A network that the node is on is none for pods, also when it was reserved; but what it has set up stays.
  const on = { networks: ["10.244.0.0/23", "192.168.50.0/24"] };
  assertEquals(choose([], on)[0], "10.244.2.0/24");
  assertEquals(
    choose([], { ...on, held: ["10.244.1.0/24"] })[0],
    "10.244.1.0/24",
  );
  assertEquals(
    choose(reserved("a", "10.244.1.0/24"), on)[0],
    "10.244.2.0/24",
  );
  const covered = assertThrows(
    () => choose([], { networks: ["10.0.0.0/8"] }),
    SandboxError,
    '10.244.0.0/22 of cluster "c" overlaps 10.0.0.0/8, a network that the node is on',
  );
  assertEquals(covered.code, "NodeConflict");
  // Half of a cluster with more networks than there is time for.
  const huge = {
    ...settingsOf("fd00:10:244::/48"),
    nodePrefixLength6: 126,
  };
  assertEquals(
    chooseSubnets(huge, { revision: "1", members: [], reservations: [] }, {
      ...wish,
      networks: ["fd00:10:244:8000::/49"],
    }),
    ["fd00:10:244::/126"],
  );
  // What is reserved for one that is not there is taken when nothing else is left.
  const full = [
    ...reserved("c", "10.244.0.0/24"),
    ...reserved("gone", "10.244.1.0/24"),
    ...reserved("d", "10.244.2.0/24"),
  ];
  assertEquals(choose(full)[0], "10.244.1.0/24");
  const exhausted = assertThrows(
    () =>
      choose([
        ...full.filter(({ owner }) => owner !== "gone"),
        ...reserved("b", "10.244.1.0/24"),
      ]),
    SandboxError,
  );
  assertEquals(exhausted.code, "PodCidrsExhausted");
  // Whoever is there has what it says, also when its reservations are lost; but not what is another's.
  const claims = (name: string, ...podCidrs: readonly string[]) => ({
    name,
    text: writeMember({ name, podCidrs, addresses: ["192.168.50.9"] }),
    revision: "1",
    lease: "1",
  });
  const chosen = (...members: readonly StoredMember[]) =>
    chooseSubnets(small, { ...listing, members }, wish)[0];
  assertEquals(chosen(claims("c", "10.244.0.0/24")), "10.244.1.0/24");
  assertEquals(chosen(claims("a", "10.244.2.0/24")), "10.244.2.0/24");
  assertEquals(chosen(claims("a", "10.244.3.0/24")), "10.244.0.0/24");
  const taken = assertThrows(
    () => choose(full, { held: ["10.244.0.0/24"] }),
    SandboxError,
  );
  assertEquals(taken.code, "PodCidrInUse");
});

Deno.test("records that others damage are told of and not followed, and nobody's networks are taken", async () => {
  await using etcd = await Etcd.start();
  using machines = new Machines();
  const options = { etcd: { endpoints: etcd.endpoints } };
  await using one = await machines.join(1, options);
  await using two = await machines.join(2, options);
  await one.noted.until("n2");
  const put = (name: string, text: string) =>
    etcd.call(0, "kv/put", {
      key: btoa(`/podnet/default/members/${name}`),
      value: btoa(text),
    });
  const texts = Object.values(DAMAGED);
  for (const [i, text] of texts.entries()) {
    await put(`bad${i}`, text.replaceAll('"a"', `"bad${i}"`));
  }
  await put("../etc", "{}");
  await put("thief", writeMember({ ...two.self, name: "thief" }));
  // The two have theirs by chance.
  const taken = [...one.self.podCidrs, ...two.self.podCidrs];
  const podCidrs = [1, 2, 3].map((number) => `10.244.${number}.0/24`)
    .filter((podCidr) => !taken.includes(podCidr)).slice(0, 1);
  await put("n3", writeMember({ ...member, name: "n3", podCidrs }));
  await one.noted.until("n2", "n3");
  assertEquals(one.refused.length, texts.length + 2);
  await one.leave();
  await two.leave();
});

/**
 * Each kind of garbage is found by podnet's own marks, told in plain words, and taken away; what looks like it and is
 * somebody else's stays.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { TABLE } from "../../src/hostport/sets.ts";
import { hairpinElement, portElements } from "../../src/hostport/elements.ts";
import { toHostPort } from "../../src/hostport/mapping.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { removeNode } from "../../mod.ts";
import { directoryOf, linkGone, loseNotes, Scene } from "./scene.ts";

let scene: Scene;

Deno.test.beforeAll(async () => {
  scene = await Scene.create();
});

Deno.test.afterAll(() => scene[Symbol.asyncDispose]());

function addElements(
  ...placed: readonly ReturnType<typeof hairpinElement>[]
): void {
  using nft = scene.namespace.run(() => NftablesConnection.open());
  const transaction = new Transaction();
  for (const { set, element } of placed) {
    transaction.addElements(TABLE, set, [element], { exclusive: true });
  }
  nft.commit(transaction);
}

Deno.test("collectGarbage() takes a route and a neighbour on a living sandbox's link that its record does not have", async () => {
  const { hostInterface: link, id } = scene.living;
  await scene.heals(() => {
    scene.run(`ip route add 10.99.0.201/32 dev ${link} proto 112`);
    scene.run(`ip -6 route add fd00:10:99::201/128 dev ${link} proto 112`);
    scene.run(
      `ip neigh add 10.99.0.201 lladdr 02:00:00:00:00:01 dev ${link} nud permanent`,
    );
  }, [
    ["route", id, /^route to 10\.99\.0\.201\/32 over pn-\w+ and 1 more belong/],
    ["neighbour", id, /^neighbour 10\.99\.0\.201 on pn-\w+ belongs to no sand/],
  ]);
});

Deno.test("collectGarbage() takes elements of a living sandbox that its record does not have", async () => {
  const { id, addresses: [ipv4 = ""] } = scene.living;
  const pod = IpAddress.parse(ipv4);
  await scene.heals(() => {
    addElements(
      ...portElements(
        toHostPort({ protocol: "tcp", hostPort: 9001, containerPort: 80 }, [4]),
        pod,
        id,
      ),
      hairpinElement(IpAddress.parse("10.99.0.202"), id),
    );
  }, [["element", id, /^element .* of set \w+ and 2 more belong to no/]]);
});

Deno.test("collectGarbage() takes a second link with a living sandbox's alias", async () => {
  const { id } = scene.living;
  await scene.heals(() => {
    scene.run("ip link add pn-0123456789ab type veth peer name other0");
    scene.run(`ip link set pn-0123456789ab alias podnet:bare/${id}`);
  }, [["link", id, /^link pn-0123456789ab belongs to no sandbox$/]]);
});

Deno.test("collectGarbage() takes gateway addresses and routes of pod CIDRs that the node does not have", async () => {
  await scene.heals(() => {
    scene.run("ip addr add 10.77.0.1/32 dev lo scope link label lo:podnet");
    scene.run(
      "ip route add unreachable 10.77.0.0/24 proto 112 metric 4278198272",
    );
  }, [
    [
      "address",
      "10.77.0.1",
      /^address 10\.77\.0\.1\/32 of lo is of a pod CIDR/,
    ],
    [
      "route",
      "10.77.0.0/24",
      /^route unreachable 10\.77\.0\.0\/24 is of a pod/,
    ],
  ]);
});

Deno.test("collectGarbage() takes files that a killed process left, and files where only directories belong", async () => {
  const record = `${directoryOf(scene.living)}/record.cbor.tmp`;
  const node = `${scene.directory}/node.cbor.tmp`;
  const stray = `${scene.directory}/sandboxes/stray`;
  await scene.heals(() => {
    for (const path of [record, node, stray]) Deno.writeTextFileSync(path, "x");
  }, [
    ["file", record, /killed/],
    ["file", node, /killed/],
    ["file", stray, /killed/],
  ]);
});

Deno.test("collectGarbage() takes an empty directory of a sandbox, and a pin without a record", async () => {
  const sandboxes = `${scene.directory}/sandboxes`;
  await scene.heals(() => {
    Deno.mkdirSync(`${sandboxes}/aaaa`, { mode: 0o700 });
    Deno.mkdirSync(`${sandboxes}/bbbb`, { mode: 0o700 });
    Deno.writeTextFileSync(`${sandboxes}/bbbb/netns`, "");
    scene.run(`mount --bind /proc/self/ns/net ${sandboxes}/bbbb/netns`);
  }, [
    ["sandbox", "aaaa", /^its creation was cut short$/],
    ["pin", "bbbb", /^its creation was cut short: \S+\/bbbb\/netns has no/],
  ]);
});

Deno.test("collectGarbage() takes whole sandboxes without a record, one line a kind", async () => {
  const before = await scene.state();
  const sandbox = await scene.node.createSandbox({
    name: "lost",
    ports: [{ hostPort: 9002, containerPort: 80 }],
  });
  loseNotes(scene, sandbox);
  await linkGone(scene, sandbox);
  const found = await scene.collect();
  assertEquals(found.map(({ kind, id }) => [kind, id]), [
    ["element", sandbox.id],
  ]);
  assertEquals(await scene.state(), before);
});

Deno.test("collectGarbage() leaves alone what only looks like podnet's", async () => {
  const { hostInterface: link, id } = scene.living;
  const foreign = [
    // By our protocol, over a link that is not a pod's.
    "ip link add pn-other type veth peer name other1",
    "ip link set pn-other up",
    "ip route add 10.99.0.203/32 dev pn-other proto 112",
    "ip neigh add 10.99.0.203 lladdr 02:00:00:00:00:02 dev pn-other nud permanent",
    // Of another node, and of a namesake that is longer.
    "ip link add pn-deadbeef0001 type veth peer name other2",
    `ip link set pn-deadbeef0001 alias podnet:other/${id}`,
    "ip link add pn-deadbeef0002 type veth peer name other3",
    `ip link set pn-deadbeef0002 alias podnet:bare2/${id}`,
    // Routes that somebody leads through a pod, by hand.
    `ip route add 192.0.2.9/32 dev ${link} proto 112`,
    `ip route add 10.99.0.128/25 dev ${link} proto 112`,
    `ip route add 10.99.0.204/32 dev ${link} proto static`,
    "ip route add unreachable 10.78.0.0/24 proto 112",
    "ip addr add 10.79.0.1/32 dev lo",
    "nft add table inet other",
    "nft add set inet other s '{ type ipv4_addr; }'",
    "nft add element inet other s '{ 10.99.0.205 comment \"0123\" }'",
  ];
  for (const line of foreign) scene.run(line);
  const neighbour = `${scene.bare.stateDir}/neighbour/sandboxes/cccc`;
  Deno.mkdirSync(neighbour, { recursive: true, mode: 0o700 });
  const before = await scene.state();
  assertEquals(await scene.node.collectGarbage({ force: true }), []);
  assertEquals(await scene.state(), before);
  for (
    const line of [
      "ip link del pn-other",
      "ip link del pn-deadbeef0001",
      "ip link del pn-deadbeef0002",
      `ip route del 192.0.2.9/32 dev ${link}`,
      `ip route del 10.99.0.128/25 dev ${link}`,
      `ip route del 10.99.0.204/32 dev ${link}`,
      "ip route del unreachable 10.78.0.0/24",
      "ip addr del 10.79.0.1/32 dev lo",
      "nft delete table inet other",
    ]
  ) scene.run(line);
  Deno.removeSync(`${scene.bare.stateDir}/neighbour`, { recursive: true });
});

Deno.test("collectGarbage() of a node that was set up anew, with other pod CIDRs, is refused: it would take the new one's", async () => {
  await using other = await Scene.create();
  const { bare, node } = other;
  await removeNode({ ...bare.reference, force: true });
  await using _again = await bare.open({ podCidrs: ["10.98.0.0/24"] });
  const before = await other.state();
  try {
    await node.collectGarbage();
    throw new Error("it was not refused");
  } catch (error) {
    assertEquals((error as { code?: string }).code, "NodeConflict");
  }
  assertEquals(await other.state(), before);
});

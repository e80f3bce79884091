/**
 * A baseline that somebody damaged is whole again when the node is opened.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { ask, FAMILIES } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { openNode } from "../../mod.ts";
import { sandboxRecord } from "../../src/sandbox/records/records.ts";
import { acquireLock } from "../../src/state/lock.ts";
import { readRecord, writeRecord } from "../../src/state/store.ts";

let lab: Lab;
let node: LabNode;
let pod: Pod;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  pod = stack.use(
    await Pod.create(node, {
      ports: [
        { hostPort: 8080, containerPort: 80 },
        { hostPort: 8081, containerPort: 80, hostIP: nodeAddress(4) },
      ],
    }),
  );
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** What opening the node once more changes. */
async function reopen(): Promise<string[]> {
  const { name, stateDir } = node.node;
  await using again = await openNode({ name, stateDir, netns: node.namespace });
  return [...again.changes];
}

function assertReachable(): void {
  for (const family of FAMILIES) {
    using server = pod.serve("tcp", family, 80);
    for (const client of [lab.outside, node]) {
      const to = { address: nodeAddress(family), port: 8080 };
      const answer = ask("tcp", client.namespace, to, [server]);
      assert(typeof answer === "object", `IPv${family} from ${client.name}`);
    }
  }
}

function ruleset(): string {
  return command(node.namespace, "nft list table inet podnet");
}

const GATEWAYS = [
  "added 10.244.1.1/32 to lo",
  "added fd00:10:244:1::1/128 to lo",
];

for (
  const [title, damage, changes] of [
    [
      "the whole ruleset is flushed",
      ["nft flush ruleset"],
      ["added nf_tables table inet podnet"],
    ],
    [
      "the table is deleted",
      ["nft delete table inet podnet"],
      ["added nf_tables table inet podnet"],
    ],
    [
      "the table is dormant",
      ["nft add table inet podnet '{ flags dormant; }'"],
      ["woke nf_tables table inet podnet, which was dormant"],
    ],
    [
      "the gateway addresses are deleted",
      [
        "ip addr del 10.244.1.1/32 dev lo",
        "ip addr del fd00:10:244:1::1/128 dev lo",
      ],
      GATEWAYS,
    ],
    ["lo is set down", ["ip link set lo down"], [
      "set lo up",
      GATEWAYS[1],
      "added route unreachable fd00:10:244:1::/64",
    ]],
    [
      "the routes for addresses without a pod are deleted",
      [
        "ip route del unreachable 10.244.1.0/24 metric 4278198272",
        "ip -6 route del unreachable fd00:10:244:1::/64 metric 4278198272",
      ],
      [
        "added route unreachable 10.244.1.0/24",
        "added route unreachable fd00:10:244:1::/64",
      ],
    ],
    [
      "forwarding is switched off",
      [
        "sysctl -q -w net.ipv4.ip_forward=0",
        "sysctl -q -w net.ipv6.conf.all.forwarding=0",
      ],
      [
        "set net.ipv4.ip_forward to 1",
        "set net.ipv6.conf.all.forwarding to 1",
      ],
    ],
  ] as const
) {
  Deno.test(`openNode() heals when ${title}, elements of living sandboxes included`, async () => {
    const before = ruleset();
    for (const line of damage) command(node.namespace, line);
    assert((await node.node.check()).length > 0);
    const made = await reopen();
    // What hung on it, such as routes whose source address was gone, is mended with it.
    assertEquals(made.filter((change) => !/^mended /.test(change)), [
      ...changes,
    ]);
    assertEquals(ruleset(), before);
    assertEquals(await reopen(), []);
    assertEquals(await node.node.check(), []);
    assertReachable();
  });
}

Deno.test("openNode() gives elements of a dead sandbox not back", async () => {
  const dead = await node.node.createSandbox({
    name: "dead",
    ports: [{ hostPort: 9000, containerPort: 90 }],
  });
  command(node.namespace, `umount -l ${dead.netnsPath}`);
  command(node.namespace, "nft delete table inet podnet");
  await reopen();
  assertEquals(ruleset().includes(dead.id), false);
  assertEquals(ruleset().includes(pod.sandbox.id), true);
  await dead.remove({ force: true });
});

Deno.test("createSandbox() heals a table that was deleted before it makes a pod", async () => {
  command(node.namespace, "nft delete table inet podnet");
  await using other = await Pod.create(node);
  assertEquals(await node.node.check(), []);
  assert(ruleset().includes(other.sandbox.id));
  assertReachable();
});

Deno.test("openNode() replaces the table of another version, and keeps its elements and connections", async () => {
  const before = ruleset();
  const comment = /comment "(node \S+ state \S+ rules )\w+"/.exec(before)?.[1];
  assert(comment !== undefined);
  const older = before
    .replace(/comment "node .*"/, `comment "${comment}000000000000"`)
    // Its rules were others.
    .replace(/chain guard \{[^}]*\}/, "chain gone {\n\t}");
  const path = `${node.node.stateDir}/older.nft`;
  Deno.writeTextFileSync(path, `delete table inet podnet\n${older}`);
  command(node.namespace, `nft -f ${path}`);
  Deno.removeSync(path);
  assert(ruleset().includes("chain gone"));

  assertEquals(await reopen(), [
    "renewed the rules of nf_tables table inet podnet",
  ]);
  assertEquals(ruleset(), before);
  assertEquals(await node.node.check(), []);
  assertReachable();
});

Deno.test("openNode() makes a table without the port that somebody is closing at that moment, and without those of who goes", async () => {
  const ports = [8090, 8091].map((hostPort) => ({
    hostPort,
    containerPort: 80,
  }));
  const closing = await node.node.createSandbox({ name: "closing", ports });
  const going = await node.node.createSandbox({
    name: "going",
    ports: [{ hostPort: 8092, containerPort: 80 }],
  });
  const directory = (id: string) =>
    `${node.node.stateDir}/${node.node.name}/sandboxes/${id}`;
  command(node.namespace, "nft delete table inet podnet");
  let opening: Promise<string[]>;
  {
    // They have begun: no element is there any more to take away, and the note is still to be changed.
    using _closing = await acquireLock(directory(closing.id), "exclusive");
    using _going = await acquireLock(directory(going.id), "exclusive");
    opening = reopen();
    while (!hasTable()) await new Promise((wake) => setTimeout(wake, 1));
    const path = `${directory(closing.id)}/record.cbor`;
    const record = readRecord(sandboxRecord, path);
    assert(record !== undefined);
    const [kept] = record.ports;
    assert(kept !== undefined);
    writeRecord(sandboxRecord, path, { ...record, ports: [kept] });
    const gone = `${directory(going.id)}/record.cbor`;
    const other = readRecord(sandboxRecord, gone);
    assert(other !== undefined);
    writeRecord(sandboxRecord, gone, { ...other, state: "creating" });
  }
  await opening;
  const rules = ruleset();
  assert(rules.includes(". 8090 comment"));
  assert(!rules.includes("8091"), rules);
  assert(!rules.includes(going.id), rules);
  for (const { id } of [closing, going]) {
    await node.node.removeSandbox(id, { force: true });
  }
  assertEquals(await node.node.collectGarbage(), []);
});

function hasTable(): boolean {
  return command(node.namespace, "nft list tables").includes("podnet");
}

/**
 * Records that lie, and things in the state directory that are none: told by name, set aside whole, and never a reason to
 * touch what is another sandbox's, or the machine's.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import type { Sandbox } from "../../mod.ts";
import { SandboxError } from "../../src/errors.ts";
import {
  type SandboxRecord,
  sandboxRecord,
} from "../../src/sandbox/records/records.ts";
import {
  decodeRecord,
  encodeRecord,
  type RecordKind,
} from "../../src/state/record.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { rejects } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { stateOf } from "../support/node_state.ts";
import { nodeAt } from "../support/pods.ts";
import { BYTES } from "./cbor_bombs.ts";
import { settled } from "../support/patience.ts";

let lab: Lab;
let node: LabNode;
/** Whose address, link and ports others claim. */
let honest: Sandbox;
let sandboxes: string;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
  sandboxes = `${node.node.stateDir}/node-1/sandboxes`;
  honest = await node.node.createSandbox({
    name: "honest",
    ports: [
      { hostPort: 9000, containerPort: 80 },
      { hostPort: 9001, containerPort: 53, protocol: "udp" },
    ],
  });
});

// So that one failure is not that of all tests after it.
Deno.test.afterEach(async () => {
  for (const id of namesIn(sandboxes).filter((id) => id !== honest.id)) {
    await node.node.removeSandbox(id, { force: true });
  }
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

function pathOf({ id }: Sandbox): string {
  return `${sandboxes}/${id}/record.cbor`;
}

function recordOf(sandbox: Sandbox): SandboxRecord {
  const path = pathOf(sandbox);
  return decodeRecord(sandboxRecord, Deno.readFileSync(path), path);
}

function encoded(body: unknown): Uint8Array {
  return encodeRecord(sandboxRecord as RecordKind<unknown>, body);
}

function liar(): Promise<Sandbox> {
  return node.node.createSandbox({
    name: "liar",
    ports: [{ hostPort: 8080, containerPort: 80, protocol: "udp" }],
  });
}

/** What the node has of everybody but the sandbox. */
function othersThan({ id, hostInterface }: Sandbox): string[] {
  const isTheirs = (line: string) =>
    line !== "" && !line.includes(id) &&
    !line.includes(hostInterface ?? "?") && !line.includes("/damaged");
  // Of a set's elements several stand on one line.
  const rules = command(node.namespace, "nft list ruleset")
    .split(/[\n{},]/).map((part) => part.trim())
    .filter((part) => part !== "elements =");
  // Opening each file, as the usual snapshot does, would wait for the writer of a FIFO.
  const files = command(
    node.namespace,
    `find ${node.node.stateDir} -type f -size -9 -not -name netns | xargs sha256sum`,
  ).split("\n");
  return [...rules, ...files, ...stateOf(node)].filter(isTheirs).sort();
}

/** The kernel takes a moment for links of sandboxes that were removed. */
async function assertOthersAre(
  sandbox: Sandbox,
  before: readonly string[],
): Promise<void> {
  assertEquals(await settled(() => othersThan(sandbox), before), before);
}

/** Everything that a node does works, and the one sandbox is told as damaged; then it is set aside, whole. */
async function assertToldAndSetAside(
  sandbox: Sandbox,
  reason: RegExp,
): Promise<string> {
  const path = pathOf(sandbox);
  const { id } = sandbox;
  const others = othersThan(sandbox);
  for (
    const call of [
      () => node.node.openSandbox(id),
      () => node.node.createSandbox({ name: "liar" }),
      () => node.node.removeSandbox(id),
      () => sandbox.addPorts([{ hostPort: 8081, containerPort: 81 }]),
    ]
  ) {
    const error = await rejects("RecordInvalid", call);
    assertEquals(error.context.path, path);
    assertMatch(error.context.reason, reason);
  }
  const listed = await node.node.listSandboxes();
  assertEquals(
    listed.filter(({ state }) => state === "damaged").map(({ id }) => id),
    [id],
  );
  await node.node.repair();
  assertEquals(
    (await node.node.collectGarbage()).map(({ id, removed }) => [id, removed]),
    [[id, false]],
  );
  const other = await node.node.createSandbox({ name: "another" });
  await other.remove();
  await assertOthersAre(sandbox, others);

  const aside = `${node.node.stateDir}/node-1/damaged`;
  const before = new Set(namesIn(aside));
  const collected = await node.node.collectGarbage({ force: true });
  assertEquals(
    collected.filter(({ kind }) => kind === "record").map(({ id }) => id),
    [id],
  );
  await assertOthersAre(sandbox, others);
  assertEquals(await node.node.check(), []);
  assertEquals(namesIn(sandboxes), [honest.id]);
  const [kept, ...more] = namesIn(aside).filter((name) => !before.has(name));
  assertEquals(more, []);
  return `${aside}/${kept}`;
}

function namesIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

const link = { hostInterface: "pn-0123456789ab", hostIndex: 0x2000000 };

/** What a record may say that is not so, and how podnet calls it. */
const LIES: Readonly<
  Record<string, [(record: SandboxRecord) => unknown, RegExp]>
> = {
  "is another's": [
    (r) => ({ ...r, id: honest.id }),
    /^is that of sandbox [0-9a-f]+$/,
  ],
  "has an id that leads elsewhere": [(r) => ({ ...r, id: "../x" }), /^id: /],
  "is ready and has no address": [
    (r) => ({ ...r, addresses: [] }),
    /has no address/,
  ],
  "has an address outside of the pool": [
    (r) => ({ ...r, addresses: ["192.0.2.7"] }),
    /^addresses: 192\.0\.2\.7 is none/,
  ],
  "has the gateway's address": [
    (r) => ({ ...r, addresses: node.node.gateways }),
    /^addresses: .* is none/,
  ],
  "has two addresses of one kind": [
    (r) => ({ ...r, addresses: [...r.addresses, ...r.addresses] }),
    /^addresses: /,
  ],
  "has text for an address": [
    (r) => ({ ...r, addresses: ["10.244.1.07"] }),
    /^addresses\.0: /,
  ],
  "has a link name that leads elsewhere": [
    (r) => ({ ...r, link: { ...r.link, hostInterface: "../x" } }),
    /^link\.hostInterface: /,
  ],
  "has the node's own link": [
    (r) => ({ ...r, link: { ...r.link, hostInterface: "eth0", hostIndex: 2 } }),
    /^link\.host/,
  ],
  "has a link number with a fraction": [
    (r) => ({ ...r, link: { ...r.link, hostIndex: 0x2000000 + 0.5 } }),
    /^link\.hostIndex: /,
  ],
  "has lo for the pod's link": [
    (r) => ({ ...r, link: { ...r.link, podIndex: 1 } }),
    /does not choose/,
  ],
  "has no link": [
    ({ link: _, ...r }) => r,
    /only on the host network/,
  ],
  "is on the host network and has a link": [
    (r) => ({ ...r, spec: { ...r.spec, hostNetwork: true } }),
    /only on the host network/,
  ],
  "has the node's namespace": [
    (r) => ({ ...r, netnsId: node.node.netnsId }),
    /^netnsId: /,
  ],
  "has a MAC that is none": [
    (r) => ({ ...r, link: { ...r.link, mac: "x" } }),
    /^link\.mac: /,
  ],
  "has an MTU beyond all": [(r) => ({ ...r, mtu: 2 ** 31 }), /^mtu: /],
  "has an MTU with a fraction": [(r) => ({ ...r, mtu: 1400.5 }), /^mtu: /],
  "has ports beyond the range": [
    (r) => ({ ...r, ports: [{ ...r.ports[0], hostPort: 65536 }] }),
    /^ports\.0\.hostPort: /,
  ],
  "has a host IP that is none": [
    (r) => ({ ...r, ports: [{ ...r.ports[0], hostIP: "x" }] }),
    /^ports\.0\.hostIP: /,
  ],
  "has a sysctl of the machine": [
    (r) => ({ ...r, spec: { ...r.spec, sysctls: { "kernel.x": "1" } } }),
    /^spec\.sysctls: /,
  ],
  "has a container without a name": [
    (r) => ({ ...r, containers: [{ name: "", ports: [] }] }),
    /^containers\.0\.name: /,
  ],
  "has a hundred thousand containers": [
    (r) => ({ ...r, containers: Array(100_000).fill(7) }),
    /^containers\.0: /,
  ],
  "has a relative path for a namespace": [
    (r) => ({ ...r, spec: { ...r.spec, netns: "../x" } }),
    /^spec\.netns: /,
  ],
  "has no time": [(r) => ({ ...r, createdAt: "yesterday" }), /^createdAt: /],
};

for (const [what, [lie, reason]] of Object.entries(LIES)) {
  Deno.test(`a record that ${what} is RecordInvalid, and set aside by force`, async () => {
    const sandbox = await liar();
    const bytes = encoded(lie(recordOf(sandbox)));
    Deno.writeFileSync(pathOf(sandbox), bytes);
    const kept = await assertToldAndSetAside(sandbox, reason);
    assertEquals(Deno.readFileSync(kept), new Uint8Array(bytes));
  });
}

for (const [what, bytes] of Object.entries(BYTES)) {
  Deno.test(`a record of ${what} is RecordInvalid, without an allocation of that size`, async () => {
    const sandbox = await liar();
    Deno.writeFileSync(pathOf(sandbox), bytes);
    // Of a sandbox's record the second one would be a change.
    const reason = what === "two items" ? /^is not a podnet/ : /^is damaged: /;
    await assertToldAndSetAside(sandbox, reason);
  });
}

/** Things that are no files of the user's own. */
const OBJECTS: Readonly<
  Record<string, [(path: string) => Promise<void> | void, RegExp]>
> = {
  "a directory with contents": [
    (path) => {
      Deno.mkdirSync(path);
      Deno.writeTextFileSync(`${path}/theirs`, "kept");
    },
    /^is a directory$/,
  ],
  "a FIFO": [(path) => sh(`mkfifo ${path}`), /^is a fifo$/],
  "a socket": [
    (path) =>
      sh(
        `perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un($ARGV[0])) or die' ${path}`,
      ),
    /^is a socket$/,
  ],
  "a device": [(path) => sh(`mknod ${path} c 1 5`), /^is a character device$/],
  "a link to /etc/passwd": [
    (path) => Deno.symlinkSync("/etc/passwd", path),
    /^is a symbolic link$/,
  ],
  "a link to itself": [
    (path) => Deno.symlinkSync("record.cbor", path),
    /^is a symbolic link$/,
  ],
  "writable by others": [
    (path) => {
      Deno.writeFileSync(path, Uint8Array.of(0xa0), { mode: 0o600 });
      Deno.chmodSync(path, 0o666);
    },
    /^can be written by other users$/,
  ],
  "of 2 MiB": [
    (path) => Deno.writeFileSync(path, new Uint8Array(2 << 20)),
    /^has 2097152 bytes$/,
  ],
  "empty": [
    (path) => Deno.writeFileSync(path, new Uint8Array(), { mode: 0o600 }),
    /^is damaged: is truncated/,
  ],
};

function sh(line: string): void {
  command(node.namespace, line);
}

for (const [what, [put, reason]] of Object.entries(OBJECTS)) {
  Deno.test(`a record that is ${what} is RecordInvalid, and set aside as it is`, async () => {
    const sandbox = await liar();
    const path = pathOf(sandbox);
    Deno.removeSync(path);
    await put(path);
    const { ino } = Deno.lstatSync(path);
    const kept = await assertToldAndSetAside(sandbox, reason);
    assertEquals(Deno.lstatSync(kept).ino, ino);
    if (what.includes("contents")) {
      assertEquals(Deno.readTextFileSync(`${kept}/theirs`), "kept");
    }
    // So that the node can be taken down with nothing left.
    Deno.removeSync(kept, { recursive: true });
  });
}

Deno.test("records set aside for one id do not replace each other, whoever does it", async () => {
  const aside = `${node.node.stateDir}/node-1/damaged`;
  const before = namesIn(aside).length;
  const texts = ["one", "two", "three"];
  for (const text of texts) {
    const sandbox = await liar();
    Deno.writeTextFileSync(pathOf(sandbox), text);
    if (text === "two") {
      assert(await node.node.removeSandbox(sandbox.id, { force: true }));
    } else await node.node.collectGarbage({ force: true });
  }
  const kept = namesIn(aside).filter((name) =>
    texts.includes(Deno.readTextFileSync(`${aside}/${name}`))
  );
  assertEquals([kept.length, namesIn(aside).length], [3, before + 3]);
});

Deno.test("removing a sandbox whose record names another's link, number and addresses touches nothing of the other", async () => {
  // A repair gives it a link of its own, and the lie is gone.
  for (const repairs of [false, true]) {
    for (const netns of [undefined, "/run/netns/none"]) {
      const sandbox = await liar();
      const record = recordOf(sandbox);
      const theirs = recordOf(honest);
      Deno.writeFileSync(
        pathOf(sandbox),
        encoded({
          ...record,
          addresses: theirs.addresses,
          link: {
            ...theirs.link,
            ...netns && { podIndex: theirs.link?.hostIndex },
          },
          ports: [...record.ports, ...theirs.ports],
          spec: { ...record.spec, ...netns && { netns } },
        }),
      );
      const flow = (verb: string) =>
        command(
          node.namespace,
          `conntrack ${verb} -p udp -s 198.51.100.1 -d ${
            nodeAddressOf(node)
          } -r ${
            theirs.addresses[0]
          } -q 198.51.100.1 --sport 7 --dport 9001 --reply-port-src 53 --reply-port-dst 7 ${
            verb === "-I" ? "-t 300" : ""
          } 2>&1 || true`,
        );
      flow("-I");
      const flows = () =>
        command(node.namespace, "conntrack -L -p udp 2>/dev/null || true")
          .split("\n").filter((line) => line.includes("dport=9001")).length;
      const before = flows();
      const others = othersThan(sandbox);
      if (repairs) {
        await node.node.repair().catch((error) => {
          assert(error instanceof SandboxError, `${error}`);
        });
        await assertOthersAre(sandbox, others);
      }
      assert(await node.node.removeSandbox(sandbox.id));
      await assertOthersAre(sandbox, others);
      assertEquals(flows(), before);
      const alias = command(
        node.namespace,
        `ip -o link show ${honest.hostInterface}`,
      );
      assertStringIncludes(alias, `/${honest.id}`);
      flow("-D");
      // What the lie kept it from finding is garbage.
      await node.node.collectGarbage();
      assertEquals(await node.node.check(), []);
    }
  }
});

function nodeAddressOf({ addresses }: LabNode): string {
  return addresses.find((address) => !address.includes(":")) ?? "";
}

Deno.test("repair() of a sandbox whose record names a link of the machine leaves that link alone", async () => {
  const sandbox = await liar();
  command(
    node.namespace,
    `ip link add other1 index ${link.hostIndex} type veth peer name other0`,
  );
  const show = () => command(node.namespace, `ip -o link show other1`);
  const before = show();
  const record = recordOf(sandbox);
  Deno.writeFileSync(
    pathOf(sandbox),
    encoded({ ...record, link: { ...record.link, ...link } }),
  );
  await node.node.repair().catch((error) => {
    assert(error instanceof SandboxError, `${error}`);
  });
  assertEquals(show(), before);
  assert(await node.node.removeSandbox(sandbox.id, { force: true }));
  assertEquals(show(), before);
  command(node.namespace, `ip link del other1`);
  await node.node.collectGarbage();
});

/**
 * Sandboxes from namespaces that were made ahead: the same as any other, only sooner.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Node, openNode, type SandboxSpec } from "../../mod.ts";
import { SandboxError } from "../../src/errors.ts";
import { NodeState } from "../../src/sandbox/records/node_state.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask, FAMILIES, TRANSPORTS } from "../support/ask.ts";
import { spawnFixture } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { gatewayAddress, nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import {
  blanks,
  directoryOf,
  eachWarm,
  likeness,
  openWarm,
  untilBlanks,
  untilReady,
} from "../support/warm.ts";

const SIZE = 3;

let lab: Lab;
let host: LabNode;
let node: Node;

eachWarm(SIZE, (given) => ({ lab, host, node } = given));

Deno.test("a sandbox from a namespace made ahead is like any other", async () => {
  const made = blanks(host);
  await using warm = await Pod.create(node, { name: "one" });
  assert(made.includes(warm.sandbox.hostInterface ?? ""));
  await using cold = await Pod.create(host.node, { name: "two" });
  assertEquals(likeness(host, warm), likeness(host, cold));
  assertEquals(await node.check(), []);
});

/** What is in a sandbox's directory, and who may read it. */
function files({ sandbox: { netnsPath } }: Pod): unknown {
  const directory = netnsPath.slice(0, netnsPath.lastIndexOf("/"));
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  return names.map((name) => {
    const path = `${directory}/${name}`;
    const isText = name === "hosts" || name === "resolv.conf";
    const text = isText ? Deno.readTextFileSync(path) : "";
    return [name, Deno.statSync(path).mode, text];
  });
}

for (
  const dns of [{}, {
    nameservers: ["192.0.2.53"],
    hostAliases: [{ ip: "192.0.2.1", hostnames: ["db"] }],
  }]
) {
  Deno.test(`a sandbox from a namespace made ahead has the same files, dns: ${JSON.stringify(dns)}`, async () => {
    const made = blanks(host);
    const addresses = ["10.244.1.7", "fd00:10:244:1::7"];
    const of = async (node: Node) => {
      await using pod = await Pod.create(node, { name: "one", dns, addresses });
      assertEquals(
        made.includes(pod.sandbox.hostInterface ?? ""),
        node !== host.node,
      );
      return files(pod);
    };
    assertEquals(await of(node), await of(host.node));
  });
}

Deno.test("of sandboxes from namespaces made ahead none loses its first packet", async () => {
  for (let i = 0; i < 12; i++) {
    await untilReady(node, SIZE);
    const ports = TRANSPORTS.map((protocol) => ({
      protocol,
      hostPort: 8080,
      containerPort: 80,
    }));
    const made = blanks(host);
    await using pod = await Pod.create(node, { ports });
    assert(made.includes(pod.sandbox.hostInterface ?? ""));
    const family = FAMILIES[i % 2] ?? 4;
    const transport = TRANSPORTS[i % 3 === 0 ? 0 : 1] ?? "tcp";
    using server = pod.serve(transport, family, 80);
    const ways = [
      [host.namespace, { address: pod.address(family), port: 80 }],
      [lab.outside.namespace, { address: nodeAddress(family), port: 8080 }],
    ] as const;
    for (const [from, to] of i % 4 < 2 ? ways : ways.toReversed()) {
      const answer = ask(transport, from, to, [server]);
      assert(typeof answer === "object", `${transport} ${to.address}`);
    }
  }
});

Deno.test("namespaces made ahead are counted, and made again when the program is idle", async () => {
  assertEquals(node.warm, { size: SIZE, ready: SIZE });
  assertEquals(blanks(host).length, SIZE);
  await using _one = await Pod.create(node);
  assertEquals(node.warm.ready, SIZE - 1);
  await untilReady(node, SIZE);
  assertEquals(blanks(host).length, SIZE);
});

Deno.test("more sandboxes than were made ahead are made as usual", async () => {
  await using pods = new AsyncDisposableStack();
  for (let i = 0; i < 2 * SIZE; i++) pods.use(await Pod.create(node));
  assertEquals(await node.check(), []);
});

const OTHER: readonly (readonly [string, Partial<SandboxSpec>])[] = [
  ["another interface name", { interfaceName: "net0" }],
  ["another MTU", { mtu: 1400 }],
  ["the node's network", { hostNetwork: true }],
];
for (const [what, spec] of OTHER) {
  Deno.test(`a sandbox with ${what} leaves what was made ahead alone`, async () => {
    await using pod = await Pod.create(node, spec);
    assertEquals(node.warm.ready, SIZE);
    assert(!blanks(host).includes(pod.sandbox.hostInterface ?? ""));
    assertEquals(await node.check(), []);
  });
}

Deno.test("a creation that fails gives up the namespace that it took, and no other", async () => {
  await assertRejects(
    () => node.createSandbox({ name: "no", addresses: [gatewayAddress(4)] }),
    SandboxError,
  );
  await using first = await Pod.create(node, {
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  await assertRejects(
    () => node.createSandbox({ name: "no", ports: first.sandbox.ports }),
    SandboxError,
  );
  await untilReady(node, SIZE);
  await untilBlanks(host, SIZE);
  assertEquals(await node.check(), []);
});

const MEDDLING = {
  deleted: (link: string) => `ip link del ${link}`,
  "set down": (link: string) => `ip link set ${link} down`,
  "moved away": (link: string) =>
    `ip netns add away; ip link set ${link} netns away; ip netns del away`,
};
for (const [what, meddle] of Object.entries(MEDDLING)) {
  Deno.test(`a creation does without what was made ahead when somebody has ${what} its link`, async () => {
    const made = blanks(host);
    for (const link of made) command(host.namespace, meddle(link));
    await using pod = await Pod.create(node);
    assert(!made.includes(pod.sandbox.hostInterface ?? ""));
    assertEquals(await node.check(), []);
  });
}

const RESTORED = {
  "was set down and up": (link: string) =>
    `ip link set ${link} down; ip link set ${link} up`,
  "has lost its neighbours": (link: string) =>
    `ip -4 neigh flush dev ${link} nud permanent; ip -6 neigh flush dev ${link} nud permanent`,
};
for (const [what, meddle] of Object.entries(RESTORED)) {
  for (const addresses of [undefined, ["10.244.1.200"]]) {
    Deno.test(`a sandbox whose link made ahead ${what} is whole, ${addresses ?? "any address"}`, async () => {
      for (const link of blanks(host)) command(host.namespace, meddle(link));
      await using _pod = await Pod.create(node, addresses && { addresses });
      assertEquals(await node.check(), []);
    });
  }
}

const TOUCHED = {
  "its pin": "umount -l warm/*/*/netns",
  "its directory": "umount -l warm/*/*/netns; rm -r warm",
};
for (const [what, touch] of Object.entries(TOUCHED)) {
  Deno.test(`a creation does without what was made ahead when somebody has taken away ${what}`, async () => {
    const made = blanks(host);
    command(host.namespace, `cd ${directoryOf(host)}; ${touch}`);
    await using pod = await Pod.create(node);
    assert(!made.includes(pod.sandbox.hostInterface ?? ""));
    assertEquals(await node.check(), []);
  });
}

Deno.test("who asks for a sandbox that there is leaves what was made ahead alone", async () => {
  await using pod = await Pod.create(node, { name: "one" });
  await untilReady(node, SIZE);
  const { id } = await node.createSandbox({ name: "one" });
  assertEquals([id, node.warm.ready], [pod.sandbox.id, SIZE]);
  await assertRejects(
    () => node.createSandbox({ name: "one", labels: { other: "spec" } }),
    SandboxError,
  );
  assertEquals(node.warm.ready, SIZE);
});

Deno.test("of two who make the same sandbox from namespaces made ahead one finds the other's", async () => {
  await using other = await openWarm(host, SIZE);
  await untilReady(other, SIZE);
  const made = await Promise.all(
    [node, other, node, other].map((node) =>
      node.createSandbox({ name: "same" })
    ),
  );
  const [first] = made;
  assertEquals(new Set(made.map(({ hostInterface }) => hostInterface)).size, 1);
  await first?.remove();
  assertEquals(await node.check(), []);
});

/** A process with a pool of its own, that is killed when it is full. */
async function killed(): Promise<void> {
  const { stateDir } = host.node;
  const child = spawnFixture(
    new URL("./fixtures/warm.ts", import.meta.url),
    [`/proc/${Deno.pid}/fd/${host.namespace.fd}`, stateDir, host.node.name],
  );
  const output = child.stdout.getReader();
  const { value } = await output.read();
  assertEquals(new TextDecoder().decode(value), "ready\n");
  child.kill("SIGKILL");
  await child.status;
  await output.cancel();
  await child.stderr.cancel();
}

Deno.test("what a dead process made ahead is garbage, what a living one did is not", async () => {
  await killed();
  await untilBlanks(host, SIZE + 2);
  const found = await host.node.collectGarbage({ dryRun: true });
  assertEquals(found.map(({ kind }) => kind), ["pin", "pin"]);
  assertEquals(blanks(host).length, SIZE + 2);
  assertEquals((await host.node.collectGarbage()).length, 2);
  await untilBlanks(host, SIZE);
  assertEquals(await host.node.collectGarbage(), []);
  const made = blanks(host);
  await using pod = await Pod.create(node);
  assert(made.includes(pod.sandbox.hostInterface ?? ""));
});

Deno.test("a process that ends without closing its node leaves nothing that it made ahead", async () => {
  const { stateDir, name } = host.node;
  const { code } = await spawnFixture(
    new URL("./fixtures/warm.ts", import.meta.url),
    [`/proc/${Deno.pid}/fd/${host.namespace.fd}`, stateDir, name, "end"],
  ).output();
  assertEquals(code, 0);
  await untilBlanks(host, SIZE);
  assertEquals([...Deno.readDirSync(`${directoryOf(host)}/warm`)].length, 1);
  assertEquals(await host.node.collectGarbage(), []);
});

Deno.test("a node that is taken down keeps no links that living processes have made ahead", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using kept = await openWarm(host, SIZE);
  await untilReady(kept, SIZE);
  const theirs = "ip link add pn-0123456789ab type veth peer name pn-other";
  command(host.namespace, theirs);
  await host.node.remove();
  // At once, and nobody else's.
  assertEquals(blanks(host), ["pn-other", "pn-0123456789ab"]);
  command(host.namespace, "ip link del pn-other");
  await assertRejects(() => kept.createSandbox({ name: "late" }), SandboxError);
  assertEquals(await kept.remove(), { removed: [] });
});

Deno.test("what is made ahead of a node that was taken down, and set up anew, is a living process's again", async () => {
  await using lab = await createLab();
  const { node: first, namespace: netns } = nodeAt(lab.nodes, 0);
  const { name, stateDir, podCidrs, nonMasqueradeCidrs, mtu } = first;
  await using kept = await openNode({ name, stateDir, netns, warm: SIZE });
  await untilReady(kept, SIZE);
  await first.remove();
  const settings = { podCidrs, nonMasqueradeCidrs, mtu };
  await using anew = await openNode({ name, stateDir, netns, ...settings });
  const cold = await kept.createSandbox({ name: "cold" });
  assertEquals(kept.warm.ready, 0);
  await untilReady(kept, SIZE);
  assertEquals(await anew.collectGarbage(), []);
  const warm = await kept.createSandbox({ name: "warm" });
  assertEquals(kept.warm.ready, SIZE - 1);
  assertEquals(await anew.check(), []);
  for (const sandbox of [cold, warm]) await sandbox.remove();
});

Deno.test("a node that is closed while its pool waits for the node's lock leaves nothing open and nothing behind", async () => {
  const { name, stateDir } = host.node;
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  await node[Symbol.asyncDispose]();
  await untilBlanks(host, 0);
  const before = open();
  {
    await using closed = await openWarm(host, SIZE);
    using _alone = await new NodeState(stateDir, name).lock("exclusive");
    // It begins to fill after 10 ms.
    await new Promise((wake) => setTimeout(wake, 60));
    await closed[Symbol.asyncDispose]();
  }
  // Waiting for the lock it asks every 20 ms.
  await new Promise((wake) => setTimeout(wake, 100));
  assertEquals(open(), before);
  assertEquals(
    command(host.namespace, `find ${directoryOf(host)} -name warm`),
    "",
  );
});

Deno.test("the next pool of the node takes away what a dead process made ahead", async () => {
  await killed();
  await untilBlanks(host, SIZE + 2);
  await using other = await openWarm(host, 1);
  await untilReady(other, 1);
  await untilBlanks(host, SIZE + 1);
  assertEquals(await host.node.collectGarbage(), []);
});

Deno.test("nothing made ahead is left when the node is closed, nor is it garbage before", async () => {
  assertEquals(await host.node.collectGarbage(), []);
  assertEquals(await host.node.check(), []);
  assertEquals(blanks(host).length, SIZE);
  await node[Symbol.asyncDispose]();
  await untilBlanks(host, 0);
  assertEquals(
    command(host.namespace, `find ${directoryOf(host)} -name warm`),
    "",
  );
});

Deno.test("warm: 0 makes nothing ahead, and what is no number is refused", async () => {
  await node[Symbol.asyncDispose]();
  await untilBlanks(host, 0);
  await using none = await openWarm(host, 0);
  await new Promise((wake) => setTimeout(wake, 50));
  assertEquals([none.warm, blanks(host)], [{ size: 0, ready: 0 }, []]);
  await assertRejects(() => openWarm(host, -1), SandboxError);
});

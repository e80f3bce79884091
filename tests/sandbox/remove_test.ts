/**
 * remove(), whatever is left of a sandbox, leaves nothing.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { NetworkNamespace, type Sandbox, SandboxError } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { ask, FAMILIES } from "../support/ask.ts";
import { command, ipLinks } from "../support/command.ts";
import {
  assertAsBefore,
  claimsOf,
  type Snapshot,
  snapshot,
} from "../support/node_state.ts";

const PORT = { hostPort: 8080, containerPort: 80 };
const CYCLES = 50;

let lab: Lab;
let node: LabNode;
/** Stays, to show that nothing of others is taken away. */
let other: Pod;
let owned: AsyncDisposableStack;
let before: Snapshot;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  other = stack.use(
    await Pod.create(node, {
      name: "other",
      ports: [{ hostPort: 9090, containerPort: 90 }],
    }),
  );
  owned = stack.move();
});

Deno.test.beforeEach(async () => {
  before = await snapshot(node);
});

// Whatever a test removes, and how: nothing is left, and everybody else is there.
Deno.test.afterEach(async () => {
  await assertAsBefore(node, before);
  assertEquals(await node.node.check(), []);
  assertEquals(await node.node.collectGarbage(), []);
  using server = other.serve("tcp", 4, 90);
  const to = { address: nodeAddress(4), port: 9090 };
  const answer = ask("tcp", lab.outside.namespace, to, [server]);
  assertEquals(typeof answer, "object");
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

function create(): Promise<Sandbox> {
  return node.node.createSandbox({ name: "web", ports: [PORT] });
}

Deno.test("IP4 remove() takes link, routes, elements and files away; again it does nothing", async () => {
  const sandbox = await create();
  await sandbox.remove();
  await sandbox.remove();
  assertEquals(await node.node.removeSandbox("web"), false);
  assertEquals(await node.node.removeSandbox(sandbox.id), false);
});

Deno.test("remove() of a sandbox that was removed leaves one of its name alone that was made in the same millisecond", async () => {
  const { now } = Date;
  const moment = now();
  try {
    Date.now = () => moment;
    const first = await create();
    await first.remove();
    const second = await create();
    await first.remove();
    assertEquals((await node.node.listSandboxes()).length, 2);
    await assertRejects(() => first.removePorts([PORT]), SandboxError);
    assertEquals(Date.parse(second.createdAt), moment);
    await second.remove();
  } finally {
    Date.now = now;
  }
});

Deno.test("removeSandbox() by ten at once removes the sandbox, and none fails", async () => {
  const { id } = await create();
  const removed = await Promise.all(
    Array.from({ length: 10 }, () => node.node.removeSandbox(id)),
  );
  // Those who come later may still find the link that the kernel is about to destroy.
  assert(removed.includes(true));
});

Deno.test("a sandbox of any name is found by it, and removed", async () => {
  for (const length of [127, 128, 253]) {
    const name = "n".repeat(length);
    for (const reference of [{}, { namespace: "default" }]) {
      await using sandbox = await node.node.createSandbox({ name });
      await using found = await node.node.openSandbox(name, reference);
      assertEquals(found.id, sandbox.id);
      assertEquals(await node.node.removeSandbox(name, reference), true);
      assertEquals(await node.node.removeSandbox(name, reference), false);
    }
  }
});

Deno.test("removeSandbox() and openSandbox() take nothing outside of the sandboxes' directory for one", async () => {
  await using _pod = await Pod.create(node);
  const before = claimsOf(node);
  for (
    const name of [
      "",
      ".",
      "..",
      "../..",
      "../damaged",
      "/",
      node.node.stateDir,
      "a/../..",
      "a\0b",
    ]
  ) {
    const force = true;
    assertEquals(await node.node.removeSandbox(name, { force }), false, name);
    const error = await assertRejects(
      () => node.node.openSandbox(name),
      SandboxError,
    );
    assertEquals(error.code, "SandboxNotFound", name);
  }
  assertEquals(claimsOf(node), before);
});

/** What may be lost: the node's end of the link, the pin, the record, everything on disk. */
const LOSSES: Readonly<Record<string, (sandbox: Sandbox) => void>> = {
  "nothing": () => {},
  "its link": ({ hostInterface }) => {
    command(node.namespace, `ip link del ${hostInterface}`);
  },
  "its namespace's pin": ({ netnsPath }) => {
    command(node.namespace, `umount ${netnsPath}`);
  },
  "its link, its pin and the pin's file": ({ hostInterface, netnsPath }) => {
    command(node.namespace, `ip link del ${hostInterface}`);
    command(node.namespace, `umount ${netnsPath}`);
    Deno.removeSync(netnsPath);
  },
  "its routes": ({ addresses: [ipv4, ipv6] }) => {
    command(node.namespace, `ip route del ${ipv4}`);
    command(node.namespace, `ip -6 route del ${ipv6}`);
  },
  "its record": ({ netnsPath }) => {
    Deno.removeSync(netnsPath.replace(/netns$/, "record.cbor"));
  },
  "its record and its pin": ({ netnsPath }) => {
    command(node.namespace, `umount ${netnsPath}`);
    Deno.removeSync(netnsPath.replace(/netns$/, "record.cbor"));
  },
  "its whole directory": ({ netnsPath }) => {
    command(node.namespace, `umount ${netnsPath}`);
    Deno.removeSync(netnsPath.replace(/\/netns$/, ""), { recursive: true });
  },
};

for (const reference of ["id", "name"] as const) {
  Deno.test(`removeSandbox() by ${reference} alone removes all of a sandbox, whatever it has lost`, async () => {
    for (const [loss, lose] of Object.entries(LOSSES)) {
      const sandbox = await create();
      lose(sandbox);
      assert(await node.node.removeSandbox(sandbox[reference]), loss);
      assertEquals(claimsOf(node), before.claims, `lost ${loss}`);
    }
  });
}

Deno.test("removeSandbox() of a sandbox with a damaged record needs force", async () => {
  const sandbox = await create();
  const file = sandbox.netnsPath.replace(/netns$/, "record.cbor");
  Deno.writeTextFileSync(file, "no record");
  const claims = claimsOf(node);
  const error = await node.node.removeSandbox(sandbox.id).catch((e) => e);
  assertEquals(error.code, "RecordInvalid");
  assertEquals(claimsOf(node), claims);
  assert(await node.node.removeSandbox(sandbox.id, { force: true }));
  const aside = `${node.node.stateDir}/node-1/damaged`;
  const [kept] = [...Deno.readDirSync(aside)].map(({ name }) => name);
  assertEquals(Deno.readTextFileSync(`${aside}/${kept}`), "no record");
  Deno.removeSync(aside, { recursive: true });
});

/** A process in the pod, which the pod's network outlives the sandbox for. */
class Process implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor(sandbox: Sandbox) {
    this.#child = sandbox.spawn("sleep", { args: ["60"] });
  }

  get pid(): number {
    return this.#child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

for (const company of ["alone", "right after another"]) {
  Deno.test(`IP4 remove() ${company} while a process is inside frees addresses and ports at once, and the link when the process ends`, async () => {
    await using another = await Pod.create(node);
    const sandbox = await create();
    const { hostInterface, addresses } = sandbox;
    const isThere = () =>
      ipLinks(node.namespace).some(({ ifname }) => ifname === hostInterface);
    await using process = new Process(sandbox);
    if (company !== "alone") await another[Symbol.asyncDispose]();
    await sandbox.remove();
    await another[Symbol.asyncDispose]();
    assertEquals(claimsOf(node), before.claims);
    assert(isThere());
    assertEquals(await node.node.listSandboxes().then((all) => all.length), 1);

    // Somebody else can have both.
    await using heir = await Pod.create(node, {
      name: "heir",
      addresses,
      ports: [PORT],
    });
    using inside = NetworkNamespace.fromPid(process.pid);
    for (const family of FAMILIES) {
      using server = heir.serve("tcp", family, 80);
      const to = { address: nodeAddress(family), port: PORT.hostPort };
      const answer = ask("tcp", lab.outside.namespace, to, [server]);
      assert(typeof answer === "object");
      // The process that stayed inside has the heir's address, and yet no way out.
      const direct = { address: other.address(family), port: 90 };
      using neighbour = other.serve("udp", family, 90);
      const outcome = ask("udp", inside, direct, [neighbour], {
        timeoutMs: 50,
      });
      assertEquals(outcome, "unanswered");
    }
  });
}

Deno.test("remove({ force: true }) while a process is inside deletes the link at once", async () => {
  const sandbox = await create();
  await using process = new Process(sandbox);
  await sandbox.remove({ force: true });
  assertEquals(
    ipLinks(node.namespace).filter(({ ifname }) =>
      ifname === sandbox.hostInterface
    ),
    [],
  );
  using inside = NetworkNamespace.fromPid(process.pid);
  assertEquals(ipLinks(inside).map(({ ifname }) => ifname), ["lo"]);
});

Deno.test("removeSandbox() with force deletes the link of a sandbox that was removed while a process is inside", async () => {
  const sandbox = await create();
  await using _process = new Process(sandbox);
  await sandbox.remove();
  assert(await node.node.removeSandbox(sandbox.id, { force: true }));
  const names = ipLinks(node.namespace).map(({ ifname }) => ifname);
  assert(!names.includes(sandbox.hostInterface ?? ""));
});

Deno.test(`${CYCLES} cycles of create and remove leave no descriptor open`, async () => {
  const cycle = async (i: number) => {
    await using sandbox = await node.node.createSandbox({
      name: `cycle-${i}`,
      ports: [PORT],
    });
    sandbox.sysctl.get("net.ipv4.ip_forward");
    await sandbox.remove();
  };
  const descriptors = () =>
    [...Deno.readDirSync("/proc/thread-self/fd")].map(({ name }) => name);
  await cycle(0);
  const open = descriptors().length;
  for (let i = 1; i <= CYCLES; i++) await cycle(i);
  assertEquals(descriptors().length, open);
});

/**
 * Several processes that make sandboxes on one node at the same time.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { SandboxJson, SandboxSpec } from "../../mod.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";
import { ipLinks } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";

const PROCESSES = 8;
const ROUNDS = 2;

/** What became of a spec. */
interface Outcome {
  readonly sandbox?: SandboxJson;
  readonly error?: {
    readonly code: string;
    readonly context: Readonly<Record<string, unknown>>;
  };
}

/** A process that makes sandboxes. */
class Creator implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor({ node, namespace }: LabNode) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-check",
        "--frozen",
        "--allow-ffi",
        new URL("./fixtures/creator.ts", import.meta.url).href,
        `/proc/${Deno.pid}/fd/${namespace.fd}`,
        node.name,
        node.stateDir,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    // Not through a decoder, which would read ahead into the next test.
    this.#output = this.#child.stdout.getReader();
    this.#input = this.#child.stdin.getWriter();
  }

  async readLine(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#output.read();
      if (done) throw new Error(`a process ended after "${this.#rest}"`);
      this.#rest += this.#decoder.decode(value, { stream: true });
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  async create(specs: readonly SandboxSpec[]): Promise<Outcome[]> {
    const line = new TextEncoder().encode(`${JSON.stringify(specs)}\n`);
    await this.#input.write(line);
    return JSON.parse(await this.readLine());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    const { code } = await this.#child.status;
    await this.#output.cancel();
    assertEquals(code, 0);
  }
}

let lab: Lab;
let node: LabNode;
let creators: readonly Creator[];
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  creators = Array.from(
    { length: PROCESSES },
    () => stack.use(new Creator(node)),
  );
  for (const creator of creators) {
    assertEquals(await creator.readLine(), "ready");
  }
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** All processes, or the first few, make sandboxes at once. */
async function race(
  specs: (process: number) => readonly SandboxSpec[],
  processes: number = PROCESSES,
): Promise<Outcome[]> {
  const outcomes = await Promise.all(
    creators.slice(0, processes).map((creator, i) => creator.create(specs(i))),
  );
  return outcomes.flat();
}

function sandboxesOf(outcomes: readonly Outcome[]): SandboxJson[] {
  return outcomes.map(({ sandbox, error }) => {
    assert(sandbox, JSON.stringify(error));
    return sandbox;
  });
}

async function removeAll(): Promise<void> {
  for (const { id } of await node.node.listSandboxes()) {
    await node.node.removeSandbox(id);
  }
}

Deno.test("IP1 50 sandboxes that five processes make at once have 50 addresses of each pod CIDR", async () => {
  const before = await snapshot(node);
  const sandboxes = sandboxesOf(
    await race(
      (process) =>
        Array.from({ length: 10 }, (_, i) => ({ name: `pod-${process}-${i}` })),
      5,
    ),
  );
  assertEquals(sandboxes.length, 50);
  for (const [i, podCidr] of node.node.podCidrs.entries()) {
    const addresses = sandboxes.map(({ addresses }) => addresses[i] ?? "");
    assertEquals(new Set(addresses).size, 50);
    for (const address of addresses) {
      assert(Cidr.parse(podCidr).contains(IpAddress.parse(address)), address);
      assert(address !== node.node.gateways[i]);
    }
  }
  for (const  of of["id", "mac", "hostInterface", "netnsPath"] as const) {
    assertEquals(new Set(sandboxes.map((s) => s[of])).size, 50, of);
  }
  assertEquals(await node.node.check(), []);
  await removeAll();
  await assertAsBefore(node, before);
});

Deno.test(`${PROCESSES} processes that make one sandbox at once all get the same`, async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const before = await snapshot(node);
    const spec = {
      name: `same-${round}`,
      ports: [{ hostPort: 8080, containerPort: 80 }],
    };
    const [first, ...others] = sandboxesOf(await race(() => [spec, spec]));
    assert(first);
    for (const other of others) assertEquals(other, first);
    const links = ipLinks(node.namespace).filter(({ ifname }) =>
      ifname.startsWith("pn-")
    );
    assertEquals(links.map(({ ifname }) => ifname), [first.hostInterface]);
    assertEquals(await node.node.check(), []);
    await removeAll();
    await assertAsBefore(node, before);
  }
});

for (const address of ["10.244.1.99", "fd00:10:244:1::99"]) {
  Deno.test(`of ${PROCESSES} processes that want ${address} exactly one gets it, and the others learn from whom`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const before = await snapshot(node);
      const outcomes = await race((process) => [
        { name: `pod-${round}-${process}`, addresses: [address] },
      ]);
      const [winner, ...more] = outcomes.flatMap(({ sandbox }) =>
        sandbox ?? []
      );
      assertEquals(more, []);
      assert(winner);
      assert(winner.addresses.includes(address));
      const losers = outcomes.flatMap(({ error }) => error ?? []);
      assertEquals(losers.length, PROCESSES - 1);
      for (const { code, context } of losers) {
        assertEquals(code, "AddressInUse");
        assertEquals(context["address"], address);
        // Missing when the winner had not come to write its name yet.
        const owner = context["owner"];
        assert(
          owner === undefined ||
            owner === `sandbox default/${winner.name} (${winner.id})`,
          String(owner),
        );
      }
      assertEquals(await node.node.check(), []);
      await removeAll();
      await assertAsBefore(node, before);
    }
  });
}

Deno.test(`${PROCESSES} processes that make one sandbox by two specs agree on which was first`, async () => {
  const before = await snapshot(node);
  const outcomes = await race((process) => [
    { name: "contested", mtu: process % 2 === 0 ? 1400 : 1300 },
  ]);
  const made = outcomes.flatMap(({ sandbox }) => sandbox ?? []);
  const refused = outcomes.flatMap(({ error }) => error ?? []);
  assertEquals(made.length, PROCESSES / 2);
  for (const sandbox of made) assertEquals(sandbox, made[0]);
  for (const { code } of refused) assertEquals(code, "SandboxConflict");
  assertEquals(await node.node.check(), []);
  await removeAll();
  await assertAsBefore(node, before);
});

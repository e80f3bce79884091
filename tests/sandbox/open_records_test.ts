/**
 * Sandboxes whose lock and record a process keeps open, and what others do to them meanwhile.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  isSandboxError,
  type Node,
  openNode,
  type Sandbox,
} from "../../mod.ts";
import { NodeState } from "../../src/sandbox/records/node_state.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";

/** A lab's node, opened once more: its locks and records are others, as in another process. */
async function twice(): Promise<
  AsyncDisposable & { readonly one: Node; readonly other: Node }
> {
  await using stack = new AsyncDisposableStack();
  const host: LabNode = nodeAt(stack.use(await createLab()).nodes, 0);
  const { name, stateDir, podCidrs } = host.node;
  const other = stack.use(
    await openNode({ name, stateDir, podCidrs, netns: host.namespace }),
  );
  const owned = stack.move();
  return {
    one: host.node,
    other,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const port = (hostPort: number) => ({ hostPort, containerPort: 80 });

async function same(node: Node, { id }: Sandbox): Promise<Sandbox> {
  const found = await node.openSandbox(id);
  assert(found !== undefined);
  return found;
}

function hostPorts({ ports }: Sandbox): number[] {
  return ports.map(({ hostPort }) => hostPort);
}

/** Descriptors of this process that lead to sandboxes of any node. */
function kept(): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      return target.includes("/sandboxes/") ? [target] : [];
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
}

Deno.test("two that change a sandbox by turns each find what the other has done", async () => {
  await using nodes = await twice();
  await using mine = await nodes.one.createSandbox({ name: "web" });
  await using theirs = await same(nodes.other, mine);
  const expected: number[] = [];
  for (let i = 0; i < 40; i++) {
    // Now and then one is at it several times in a row, by what it has open.
    const sandbox = i % 5 < 3 ? mine : theirs;
    await sandbox.addPorts([port(8000 + i)]);
    expected.push(8000 + i);
    if (i % 4 === 3) {
      await sandbox.removePorts([port(8000 + i - 2)]);
      expected.splice(expected.indexOf(8000 + i - 2), 1);
    }
    assertEquals(hostPorts(sandbox), expected);
    assertEquals(hostPorts(await same(nodes.other, mine)), expected);
  }
  assertEquals(await nodes.other.check(), []);
});

Deno.test("a sandbox that others have removed, and made anew, is not changed by what is open of the first", async () => {
  await using nodes = await twice();
  await using first = await nodes.one.createSandbox({ name: "web" });
  await first.addPorts([port(8000)]);
  await first.removePorts([port(8000)]);
  await nodes.other.removeSandbox(first.id);
  const error = await first.addPorts([port(8001)]).then(() => {}, (e) => e);
  assert(isSandboxError(error, "SandboxNotFound"), `${error}`);

  await using second = await nodes.other.createSandbox({ name: "web" });
  assertEquals(second.id, first.id);
  const again = await first.addPorts([port(8002)]).then(() => {}, (e) => e);
  assert(isSandboxError(again, "SandboxNotFound"), `${again}`);
  await using found = await same(nodes.one, second);
  await found.addPorts([port(8003)]);
  assertEquals(hostPorts(await same(nodes.other, second)), [8003]);
  assertEquals(await nodes.other.check(), []);
});

Deno.test("changes of one sandbox that begin at the same moment are all made, one after the other", async () => {
  await using nodes = await twice();
  await using mine = await nodes.one.createSandbox({ name: "web" });
  await using theirs = await same(nodes.other, mine);
  // From here on the first has it open.
  await mine.addPorts([port(7999)]);
  await Promise.all(
    Array.from(
      { length: 60 },
      (_, i) => (i % 3 === 0 ? theirs : mine).addPorts([port(8000 + i)]),
    ),
  );
  assertEquals(
    hostPorts(await same(nodes.one, mine)),
    Array.from({ length: 61 }, (_, i) => 7999 + i),
  );
  await Promise.all(
    Array.from(
      { length: 61 },
      (_, i) => (i % 3 === 0 ? theirs : mine).removePorts([port(7999 + i)]),
    ),
  );
  assertEquals(hostPorts(await same(nodes.one, mine)), []);
  assertEquals(await nodes.other.check(), []);
});

Deno.test("who has a sandbox open waits for who has it locked", async () => {
  await using nodes = await twice();
  await using sandbox = await nodes.one.createSandbox({ name: "web" });
  await sandbox.addPorts([port(8000)]);
  const { stateDir, name } = nodes.one;
  let isDone = false;
  let adding: Promise<void>;
  {
    using lock = await new NodeState(stateDir, name).lockSandbox(sandbox.id);
    assert(lock !== undefined);
    adding = sandbox.addPorts([port(8001)]).then(() => {
      isDone = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert(!isDone);
  }
  await adding;
  assertEquals(hostPorts(sandbox), [8000, 8001]);
});

Deno.test("few sandboxes are kept open, and none of a node that is closed", async () => {
  const before = kept().length;
  {
    await using lab = await createLab();
    const sandboxes: Sandbox[] = [];
    for (let i = 0; i < 50; i++) {
      const sandbox = await lab.node.createSandbox({ name: `pod-${i}` });
      sandboxes.push(sandbox);
      await sandbox.addPorts([port(8000 + i)]);
      assert(kept().length <= before + 64, `${kept().length} are open`);
    }
    assertEquals(kept().length, before + 64);
    // Those that are not open any more are changed like any other.
    for (const [i, sandbox] of sandboxes.entries()) {
      await sandbox.removePorts([port(8000 + i)]);
      assertEquals(hostPorts(sandbox), []);
    }
    for (const sandbox of sandboxes) await sandbox.remove();
    assertEquals(kept().length, before);
    await using last = await lab.node.createSandbox({ name: "last" });
    await last.addPorts([port(8000)]);
    assertEquals(kept().length, before + 2);
  }
  assertEquals(kept().length, before);
});

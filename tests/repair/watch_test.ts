/**
 * How a watch that repairs behaves towards others: those who undo, those who repair, those who create, and its own process.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError, type NodeWatch, removeNode } from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { BareNode, resultOf, spawnFixture } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { nextOf, readyWatch, untilMended } from "./site.ts";
import { StandingClock } from "./clock.ts";
import { Restraint } from "../../src/sandbox/watch/restraint.ts";

let lab: Lab;
let node: LabNode;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

function undoAlias({ sandbox }: Pod): void {
  command(node.namespace, `ip link set ${sandbox.hostInterface} alias x`);
}

/** As often as it is mended at once. */
async function undoUntilRestrained(
  watch: NodeWatch,
  undo: () => void,
): Promise<void> {
  for (const _ of [1, 2, 3]) {
    undo();
    await nextOf(watch, "repaired");
  }
}

Deno.test("watch() ceases to fight who keeps undoing the same, says so, and tries again later", async () => {
  await using pod = await Pod.create(node);
  await using watch = await readyWatch(node);
  using clock = new StandingClock();
  const undo = () => undoAlias(pod);
  await undoUntilRestrained(watch, undo);
  undo();
  const event = await nextOf(watch, "repaired", "contested");
  assert(event.type === "contested", JSON.stringify(event));
  assertEquals([event.repairs, event.retryInMs], [3, 1000]);
  assertEquals((await node.node.check()).length, 1, "it was mended after all");
  // Something else is mended all the same.
  command(
    node.namespace,
    `ip neigh del ${pod.address(4)} dev ${pod.sandbox.hostInterface}`,
  );
  const other = await nextOf(watch, "repaired");
  assert(other.type === "repaired");
  assert(other.finding.object.startsWith("neighbour "));
  // And it is, when the time has come.
  clock.pass(1000);
  await untilMended(node, watch, /has alias "x"$/);
  // Undone after that, it is told of again.
  undo();
  const again = await nextOf(watch, "repaired", "contested");
  assert(again.type === "contested", JSON.stringify(again));
  assertEquals([again.repairs, again.retryInMs], [4, 2000]);
});

Deno.test("watch() tries again what it held back, also when that is due before the look is over", async () => {
  await using pod = await Pod.create(node);
  await using watch = await readyWatch(node);
  using clock = new StandingClock();
  const undo = () => undoAlias(pod);
  await undoUntilRestrained(watch, undo);
  const { dueAt } = Restraint.prototype;
  using restored = new DisposableStack();
  restored.defer(() => Restraint.prototype.dueAt = dueAt);
  // A machine so slow that the rest of the look takes a second.
  Restraint.prototype.dueAt = function (finding, now) {
    const at = dueAt.call(this, finding, now);
    if (at > now) clock.pass(at - now);
    return at;
  };
  undo();
  const event = await nextOf(watch, "repaired", "unrepaired", "contested");
  assert(event.type === "contested", JSON.stringify(event));
  assertEquals(event.retryInMs, 1);
  await untilMended(node, watch, /has alias "x"$/);
});

Deno.test("several watches at once repair a thing once and end at peace", async () => {
  await using pod = await Pod.create(node);
  await using one = await readyWatch(node);
  await using two = await readyWatch(node);
  await using plain = node.node.watch();
  command(node.namespace, "nft flush ruleset");
  command(node.namespace, `ip link set ${pod.sandbox.hostInterface} down`);
  const mended = await Promise.race(
    [one, two].map((watch) => untilMended(node, watch, /^link .* is down$/)),
  ).then(() => node.node.check());
  assertEquals(mended, []);
  const event = await nextOf(plain, "up");
  assert(event.type === "up" && event.id === pod.sandbox.id);
});

Deno.test("watch() repairs nothing of what others make and remove meanwhile", async () => {
  await using watch = await readyWatch(node, 20);
  const events: string[] = [];
  const reading = (async () => {
    for await (const { type, ...event } of watch) {
      if (
        type === "repaired" || type === "unrepaired" || type === "contested"
      ) {
        events.push(JSON.stringify(event));
      }
    }
  })();
  const rounds = Array.from({ length: 4 }, async (_, i) => {
    for (let round = 0; round < 15; round++) {
      const sandbox = await node.node.createSandbox({
        name: `busy-${i}`,
        ports: [{ hostPort: 9000 + i, containerPort: 80 }],
      });
      await sandbox.addPorts([{ hostPort: 9100 + i, containerPort: 81 }]);
      await sandbox.removePorts([{ hostPort: 9000 + i, containerPort: 80 }]);
      await sandbox.remove();
    }
  });
  await Promise.all(rounds);
  await watch[Symbol.asyncDispose]();
  await reading;
  assertEquals(events, []);
});

Deno.test("watch() looks at everything when messages were lost", async () => {
  await using pod = await Pod.create(node);
  await using watch = await readyWatch(node);
  // More than fits, all while this thread reads nothing; what matters comes last.
  command(
    node.namespace,
    `for i in $(seq 15); do
      seq 2000 | sed 's/.*/route add 198.51.100.0\\/24 dev lo metric &/' | ip -batch -
      ip route flush 198.51.100.0/24
    done
    ip link set ${pod.sandbox.hostInterface} alias lost`,
  );
  await untilMended(node, watch, /has alias "lost"$/);
});

Deno.test("watch() ends with NodeNotFound when its node is taken down, and leaves it down", async () => {
  await using bare = new BareNode();
  await using opened = await bare.open();
  await using watch = opened.watch({ repair: true, pollMs: 0 });
  await nextOf(watch, "ready");
  await removeNode(bare.reference);
  const error = await assertRejects(async () => {
    for await (const _ of watch);
  });
  assert(isSandboxError(error, "NodeNotFound"), String(error));
  assertEquals((await watch.next()).done, true);
  assertEquals(command(bare.namespace, "nft list ruleset"), "");
});

Deno.test("watch() that is disposed ends at once, while somebody waits and in the middle of its work", async () => {
  const idle = await readyWatch(node);
  const waiting = idle.next();
  await idle[Symbol.asyncDispose]();
  assertEquals((await waiting).done, true);
  const busy = node.node.watch({ repair: true });
  await busy[Symbol.asyncDispose]();
  assertEquals((await busy.next()).done, true);
  for (const pollMs of [-1, NaN, Infinity]) {
    try {
      node.node.watch({ repair: true, pollMs });
      assert(false);
    } catch (error) {
      assert(error instanceof RangeError);
    }
  }
});

Deno.test("a process whose repairing watch is closed ends by itself", async () => {
  await using bare = new BareNode();
  await using _opened = await bare.open();
  const url = new URL("./fixtures/watch.ts", import.meta.url);
  const child = spawnFixture(url, [bare.path, bare.stateDir]);
  assertEquals(await resultOf(child), ["ready", "created", "up"]);
});

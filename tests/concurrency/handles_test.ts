/**
 * One process that has a node open several times, and closes some while much is being done by them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { readDirectory } from "../../ffi/file.ts";
import { isSandboxError, type Node, openNode } from "../../mod.ts";
import { createLab } from "../../src/testing/mod.ts";
import { settled } from "../support/patience.ts";
import { nodeAt } from "../support/pods.ts";
import { Churner, OPERATIONS } from "./churn_operations.ts";
import { Random } from "./random.ts";

/** Each has a handle of its own. */
const HANDLES = 4;
/** So many of them are closed in the middle. */
const CLOSED = 2;
const OPERATIONS_EACH = 50;
const NAMES = 12;

function descriptors(): string {
  return `${readDirectory("/proc/self/fd").length} are open`;
}

/** Does what it likes so often, or until its node is closed. */
async function churn(churner: Churner, times: number): Promise<void> {
  for (let done = 0; done < times; done++) {
    const operation = churner.next();
    try {
      await churner.perform(operation);
    } catch (error) {
      if (isSandboxError(error, "NodeClosed")) return;
      const expected: readonly string[] = OPERATIONS[operation].errors;
      assert(
        isSandboxError(error) && expected.includes(error.code),
        `${operation}: ${Deno.inspect(error)}`,
      );
      assertEquals(error.undoFailures, []);
    }
  }
}

for (const seed of [1, 2, 3]) {
  Deno.test(`several handles of a node in one process do what they like, some closed in the middle, and nothing is left: seed ${seed}`, async () => {
    await using lab = await createLab();
    const { node, namespace: netns } = nodeAt(lab.nodes, 0);
    const { name, stateDir } = node;
    const reference = { name, stateDir, netns };
    const random = new Random(seed);
    const before = descriptors();
    const handles: Node[] = [];
    for (let warm = 0; warm < HANDLES; warm++) {
      handles.push(await openNode({ ...reference, warm }));
    }
    const world = { specSeed: seed, names: NAMES };
    const work = handles.map((handle, i) =>
      churn(
        new Churner(handle, reference, world, HANDLES * seed + i),
        i < CLOSED ? Infinity : OPERATIONS_EACH,
      )
    );
    for (const handle of handles.slice(0, CLOSED)) {
      const moment = random.below(60);
      await new Promise((wake) => setTimeout(wake, moment));
      await handle[Symbol.asyncDispose]();
    }
    await Promise.all(work);
    for (const handle of handles) await handle[Symbol.asyncDispose]();
    // What was begun by those that were closed may be half done.
    await node.collectGarbage();
    await node.repair();
    assertEquals(await node.check(), []);
    for (const { id } of await node.listSandboxes()) {
      await node.removeSandbox(id, { force: true });
    }
    assertEquals(await node.collectGarbage(), []);
    assertEquals(await settled(descriptors, before), before);
  });
}

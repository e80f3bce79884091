/**
 * Lets V8 compile what a sandbox's life is made of, and collects all garbage then: see `compiled_code_test.ts`.
 *
 * @module
 */
import type { Node } from "../../mod.ts";
import { createLab } from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";
import { readPassingShapes } from "./passing_shape.ts";

/** V8 compiles a function after 3,000 calls. */
const CALLS = 3500;

const port = (hostPort: number) => ({ hostPort, containerPort: 80 });

async function live(node: Node, times: number): Promise<void> {
  for (let number = 0; number < times; number++) {
    const name = `sandbox${number}`;
    const sandbox = await node.createSandbox({ name, ports: [port(8080)] });
    await sandbox.addPorts([port(8081)]);
    await sandbox.removePorts([port(8081)]);
    await sandbox.remove();
  }
}

/** As V8 does it when it has been idle for some seconds. */
function collect(): void {
  // `--v8-flags=--expose-gc` has put it there.
  const { gc } = globalThis as { readonly gc?: (how: object) => void };
  gc?.({ type: "major", flavor: "last-resort" });
}

if (import.meta.main) {
  await using lab = await createLab();
  const { node } = nodeAt(lab.nodes, 0);
  await live(node, 100);
  // Objects that only the node's beginning has had are no loss.
  collect();
  await live(node, CALLS);
  await readPassingShapes();
  collect();
}

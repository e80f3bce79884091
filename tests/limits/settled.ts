/**
 * A node as it was before.
 *
 * @module
 */
import type { BareNode } from "../node/bare.ts";

/** What the node has once the kernel has destroyed the links of pods that are gone, which it does on its own time. */
export async function settledState(
  bare: BareNode,
  wanted: string,
): Promise<string> {
  const deadline = performance.now() + 3000;
  for (;;) {
    const state = bare.state();
    if (state === wanted || performance.now() > deadline) return state;
    await new Promise((done) => setTimeout(done, 10));
  }
}

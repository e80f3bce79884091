/**
 * A node as it was before.
 *
 * @module
 */
import { ipLinks } from "../support/command.ts";
import type { BareNode } from "../node/bare.ts";

const SETTLE_MS = 3000;

/** Waits until the node has the links of so many pods and no others. */
export async function linksSettled(
  { namespace }: BareNode,
  pods: number,
): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (
    ipLinks(namespace).filter(({ ifname }) => ifname.startsWith("pn-"))
        .length !== pods && performance.now() < deadline
  ) {
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** What the node has once the kernel has destroyed the links of pods that are gone, which it does on its own time. */
export async function settledState(
  bare: BareNode,
  wanted: string,
): Promise<string> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const state = bare.state();
    if (state === wanted || performance.now() > deadline) return state;
    await new Promise((done) => setTimeout(done, 10));
  }
}

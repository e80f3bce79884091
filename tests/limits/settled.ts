/**
 * A node as it was before, once the kernel has destroyed the links of pods that are gone, which it does on its own time.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { BareNode } from "../node/bare.ts";
import { ipLinks } from "../support/command.ts";
import { settled, until } from "../support/patience.ts";

/** Waits until the node has the links of so many pods and no others. */
export async function linksSettled(
  { namespace }: BareNode,
  pods: number,
): Promise<void> {
  await until(() =>
    ipLinks(namespace).filter(({ ifname }) => ifname.startsWith("pn-"))
      .length === pods
  );
}

/** Waits until the node has what it had before. */
export async function assertSettled(
  bare: BareNode,
  before: string,
): Promise<void> {
  assertEquals(await settled(() => bare.state(), before), before);
}

/**
 * Everything that somebody can undo: found by check(), mended by repair(), and by a watch by itself; flows that were there
 * survive.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Disturbance,
  ON_LINK,
  ON_NODE,
  ON_POD,
  ON_TABLE,
} from "./disturbances.ts";
import type { Finding } from "../../mod.ts";
import { readyWatch, Site, textOf, untilMended } from "./site.ts";

let site: Site;

Deno.test.beforeAll(async () => {
  site = await Site.create();
});

Deno.test.afterAll(() => site[Symbol.asyncDispose]());

/** How often a watch looks by itself for what the kernel tells nobody, in milliseconds. */
const POLL_MS = 50;

for (
  const disturbance of [...ON_TABLE, ...ON_NODE, ...ON_LINK, ...ON_POD]
) {
  const { title, found, misleads = false, silent = false } = disturbance;

  Deno.test(`check() tells of ${title} and repair() mends it; flows survive`, async () => {
    const { node } = site.node;
    using stack = new DisposableStack();
    const flows = site.flows(stack);
    site.disturb(disturbance);
    if (!misleads) { for (const flow of flows) flow.send(); }
    const findings = await node.check();
    assertFound(disturbance, findings);
    for (const { remedy, repairable } of findings) {
      assertMatch(remedy, /^repair /);
      assert(repairable);
    }
    assertEquals(await node.check(), findings, "check() changed something");
    const { mended, remaining } = await node.repair();
    assertEquals(remaining, []);
    assertFound({ found: found.slice(0, 1) }, mended);
    assertEquals(await node.check(), []);
    assertEquals(await node.repair(), { mended: [], remaining: [] });
    for (const flow of flows) flow.assertAlive();
    await site.reopen();
  });

  Deno.test(`watch() mends ${title} by itself; flows survive`, async () => {
    using stack = new DisposableStack();
    const flows = site.flows(stack);
    await using watch = await readyWatch(site.node, silent ? POLL_MS : 0);
    site.disturb(disturbance);
    if (!misleads) { for (const flow of flows) flow.send(); }
    await untilMended(site.node, watch, found[0] ?? /^/);
    for (const flow of flows) flow.assertAlive();
    await site.reopen();
  });
}

function assertFound(
  { found, common = true }: Pick<Disturbance, "found" | "common">,
  findings: readonly Finding[],
): void {
  const texts = findings.map(textOf);
  for (const pattern of found) {
    assert(
      texts.some((text) => pattern.test(text)),
      `${pattern} in:\n${texts.join("\n")}`,
    );
  }
  if (common) return;
  for (const { sandbox } of findings) {
    assert(sandbox === undefined || sandbox === "default/web", sandbox);
  }
}

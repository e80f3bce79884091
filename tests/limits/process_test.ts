/**
 * Limits of the process and of its user.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { resultOf, spawnFixture } from "../node/bare.ts";

function fixture(name: string): URL {
  return new URL(`./fixtures/${name}.ts`, import.meta.url);
}

const permissions = ["--allow-all"];

Deno.test("openNode() and createSandbox() fail typed at every descriptor that is not to be had, change nothing, and work once they are", async () => {
  const child = spawnFixture(fixture("few_files"), [], {
    through: ["sh", "-c", 'ulimit -n 160; exec "$@"', "sh"],
    permissions,
  });
  const { opening, creating } = await resultOf(child) as Record<string, number>;
  console.log(
    `descriptors missing: ${opening} points of openNode, ${creating} of createSandbox`,
  );
  assert(opening !== undefined && opening > 3, `${opening}`);
  assert(creating !== undefined && creating > 3, `${creating}`);
});

for (
  const { what, limit } of [
    { what: "namespaces", limit: "user.max_net_namespaces" },
    { what: "ports", limit: "net.core.wmem_max" },
  ]
) {
  Deno.test(`createSandbox() of an unprivileged user tells that ${limit} is reached, changes nothing, and works within it`, async () => {
    const child = spawnFixture(fixture("user_namespace"), [what], {
      through: ["unshare", "-Urnm"],
      permissions,
    });
    assertEquals(await resultOf(child), "done");
  });
}

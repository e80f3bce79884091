/**
 * `podnet node watch` as a service manager runs it.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Host } from "../cli/host.ts";
import { until } from "../support/patience.ts";

const POD_CIDR = ["--pod-cidr", "10.244.1.0/24"];

Deno.test("podnet node watch --repair mends what is undone, tells of it in JSON lines, and ends with SIGTERM", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR, "-p", "8080:80");
  const child = host.start("node", "watch", "--repair", "-o", "json");
  while (JSON.parse(await child.line()).type !== "ready");
  const { code, stderr } = await host.run("nft", "flush", "ruleset");
  assertEquals(code, 0, stderr);
  const event = JSON.parse(await child.line());
  assertEquals(event.type, "repaired");
  assertEquals(event.finding.problem, "table podnet is missing");
  assert(event.finding.repairable);
  assertEquals(await child.end("SIGTERM"), { code: 0, stderr: "" });
  assertEquals(await host.json("check"), []);
});

Deno.test("podnet node watch --repair mends although nobody reads what it tells, and ends with SIGTERM", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR, "-p", "8080:80");
  const child = host.startUnread("node", "watch", "--repair");
  // It waits for a reader from the first thing on that it tells.
  for (let round = 0; round < 3; round++) {
    await host.run("nft", "flush", "ruleset");
    await until(async () => (await host.podnet("check")).code === 0);
  }
  assertEquals(await child.end("SIGTERM"), { code: 0, stderr: "" });
});

Deno.test("podnet node watch says what --poll is", async () => {
  await using host = await Host.start();
  await host.ok("node", "up", ...POD_CIDR);
  const { code, stderr } = await host.podnet(
    ...["node", "watch", "--poll", "soon"],
  );
  assertEquals(code, 2);
  assertStringIncludes(stderr, '--poll "soon": write seconds, such as 30');
});

import { assertEquals, assertMatch } from "@std/assert";
import { Host } from "./host.ts";

const POD_CIDR = ["--pod-cidr", "10.244.1.0/24"];

Deno.test("podnet node up keeps its settings and says what it changed", async () => {
  await using host = await Host.start();
  const options = [
    ...["--mtu", "1400", "--masquerade", "off"],
    ...["--non-masquerade-cidr", "10.0.0.0/8"],
    ...["--max-connections-per-pod", "640"],
  ];
  const first = await host.json("node", "up", ...POD_CIDR, ...options) as {
    netnsId: string;
    changes: string[];
  };
  const { changes, netnsId, ...settings } = first;
  assertEquals(changes.length > 0, true);
  assertMatch(netnsId, /^net:\[\d+\]$/);
  assertEquals<unknown>(settings, {
    name: "test",
    stateDir: host.stateDir,
    podCidrs: ["10.244.1.0/24"],
    gateways: ["10.244.1.1"],
    mtu: 1400,
    masquerade: false,
    nonMasqueradeCidrs: ["10.0.0.0/8"],
    maxConnectionsPerPod: 640,
  });
  const again = { ...first, changes: [] };
  assertEquals(await host.json("node", "up"), again);
  assertEquals(await host.json("node", "up", ...POD_CIDR, ...options), again);
  assertEquals(await host.json("node", "show"), again);
  assertMatch(await host.ok("node", "show"), /^Name +test\n/);
});

Deno.test("podnet node down takes everything away and can be said twice", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR, "-p", "80:80");
  assertEquals((await host.podnet("node", "down")).code, 4);
  assertMatch(await host.ok("node", "down", "--force"), /sandbox .*\n.*\n/);
  assertEquals(await host.ok("node", "down"), "");
  assertEquals(await host.json("node", "down"), { removed: [] });
  assertEquals((await host.podnet("node", "show")).code, 3);
  const [links, rules, addresses] = await Promise.all([
    host.run("ip", "-brief", "link"),
    host.run("nft", "list", "ruleset"),
    host.run("ip", "-brief", "address"),
  ]);
  assertEquals(links.stdout.trimEnd().split("\n").length, 1);
  assertEquals(rules.stdout, "");
  assertEquals(addresses.stdout.includes("10.244.1.1"), false);
});

Deno.test("podnet check finds what is missing and mends it with --repair", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR, "-p", "8080:80");
  assertEquals(await host.ok("check"), "");
  assertEquals(await host.json("check"), []);
  await host.run("ip", "route", "flush", "proto", "112", "type", "unicast");
  const found = await host.podnet("check");
  assertEquals([found.code, found.stderr], [1, ""]);
  assertMatch(found.stdout, /^SANDBOX +OBJECT +PROBLEM +REMEDY\n/);
  assertMatch(found.stdout, /default\/web +route/);
  const mended = await host.podnet("check", "--repair", "-o", "json");
  assertEquals(mended.code, 0, mended.stdout);
  const [finding] = JSON.parse(mended.stdout);
  assertEquals([finding.sandbox, finding.mended], ["default/web", true]);
  assertEquals(await host.ok("check"), "");
});

Deno.test("podnet gc lists with --dry-run what it then removes", async () => {
  await using host = await Host.start();
  const { id, netnsPath } = await host.json("create", "web", ...POD_CIDR) as {
    id: string;
    netnsPath: string;
  };
  assertEquals(await host.ok("gc"), "");
  await host.run("umount", "-l", netnsPath);
  const planned = await host.json("gc", "-n") as Record<string, unknown>[];
  assertEquals(planned.map((g) => [g.id, g.removed]), [[id, false]]);
  const done = await host.json("gc") as Record<string, unknown>[];
  assertEquals(done.map((g) => [g.id, g.removed]), [[id, true]]);
  assertEquals(await host.json("ls"), []);
});

Deno.test("podnet works on the namespace that --netns names", async () => {
  await using host = await Host.start();
  await using other = await Host.start();
  const netns = ["--netns", `${other.pid}`];
  await host.ok(...netns, "create", "web", ...POD_CIDR);
  const [here, there] = await Promise.all([
    host.run("ip", "-brief", "link"),
    other.run("ip", "-brief", "link"),
  ]);
  assertEquals(here.stdout.includes("pn-"), false);
  assertEquals(there.stdout.includes("pn-"), true);
  assertEquals((await host.podnet("ls")).code, 4);
  await host.ok(...netns, "node", "down", "--force");
});

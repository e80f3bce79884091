import { assert, assertEquals, assertMatch } from "@std/assert";
import { Host } from "./host.ts";

/** A machine with a sandbox, Debian's plugins and a network of them. */
async function machine(): Promise<
  Host & { readonly directory: string; readonly place: readonly string[] }
> {
  const host = await Host.start();
  const directory = `${host.stateDir}/cni`;
  await Deno.mkdir(directory);
  await Deno.writeTextFile(
    `${directory}/10-lan.conflist`,
    JSON.stringify({
      cniVersion: "1.0.0",
      name: "lan",
      plugins: [{
        type: "bridge",
        bridge: "cni-lan",
        capabilities: { ips: true },
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: "10.88.0.0/24" }], [{ subnet: "fd00:88::/64" }]],
          dataDir: `${directory}/host-local`,
        },
      }],
    }),
  );
  await host.ok("create", "web", "--pod-cidr", "10.244.1.0/24");
  return Object.assign(host, {
    directory,
    place: ["--conf-dir", directory, "--cache-dir", `${directory}/cache`],
  });
}

Deno.test("podnet cni add attaches by Debian's plugins, and inspect, check, del and rm know of it", async () => {
  await using host = await machine();
  const { place } = host;
  const table = await host.ok("cni", "add", "web", "lan", ...place);
  assertMatch(
    table,
    /^INTERFACE +NETWORK +ADDRESSES\nnet1 +lan +10\.88\.0\.2\/24 fd00:88::2\/64\n$/,
  );
  const again = await host.json("cni", "add", "web", "lan", ...place) as {
    name: string;
    plugins: string[];
  };
  assertEquals([again.name, again.plugins], ["net1", ["bridge"]]);
  assertMatch(
    await host.ok("inspect", "web"),
    /^Attachments +net1 lan bridge 10\.88\.0\.2\/24 fd00:88::2\/64$/m,
  );
  const byFile = await host.json(
    ...["cni", "add", "web", `${host.directory}/10-lan.conflist`, ...place],
    ...["--ifname", "lan0", "--arg", "IgnoreUnknown=1"],
    ...["--runtime-config", '{"ips":["10.88.0.9/24"]}'],
  ) as { name: string; result: { ips: { address: string }[] } };
  assertEquals([byFile.name, byFile.result.ips[0]?.address], [
    "lan0",
    "10.88.0.9/24",
  ]);
  // The bridge is no gateway, so its own CHECK has nothing to be wrong about but the link.
  await host.ok("exec", "web", "--", "ip", "link", "del", "net1");
  const { code, stderr } = await host.podnet("cni", "check", "web");
  assertEquals(code, 1);
  assertMatch(stderr, /^podnet: plugin bridge of network lan, CHECK: /);
  for (const name of ["net1", "net1", "eth0"]) {
    assertEquals(await host.ok("cni", "del", "web", name), "");
  }
  await host.ok("exec", "web", "--", "ip", "link", "show", "eth0");
  await host.ok("rm", "web");
  assertEquals(
    [...Deno.readDirSync(`${host.directory}/cache/results`)],
    [],
  );
});

Deno.test("podnet cni status and gc", async () => {
  await using host = await machine();
  const { place } = host;
  const table = await host.ok("cni", "status", "lan", ...place);
  assertMatch(table, /\nbridge +\/usr\/lib\/cni\/bridge +.*1\.0\.0/);
  await host.ok("cni", "add", "web", "lan", ...place);
  const results = `${host.directory}/cache/results`;
  const [{ name: file = "" } = {}] = [...Deno.readDirSync(results)];
  const left = await Deno.readTextFile(`${results}/${file}`);
  assertEquals(await host.ok("cni", "gc", "lan", ...place), "");
  await host.ok("rm", "web");
  await Deno.writeTextFile(`${results}/${file}`, left);
  assertMatch(
    await host.ok("cni", "gc", "lan", ...place),
    /^CONTAINER +INTERFACE\npn-[0-9a-f]{8}-[0-9a-f]{16} +net1\n$/,
  );
  assertEquals(await host.json("cni", "gc", "lan", ...place), []);
});

Deno.test("podnet cni add tells what it could not undo; del and gc go on with --force", async () => {
  await using host = await machine();
  const { place, directory } = host;
  const file = `${directory}/10-lan.conflist`;
  const right = await Deno.readTextFile(file);
  const wrong = right.replace("10.88.0.0/24", "10.88.0.0/240");
  const results = `${directory}/cache/results`;
  const refused = async () => {
    await Deno.writeTextFile(file, wrong);
    const { code, stderr } = await host.podnet(
      ...["cni", "add", "web", "lan", ...place],
    );
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^podnet: plugin bridge of network lan, ADD: .*\npodnet: could not be undone: plugin bridge of network lan, DEL: .*\n$/,
    );
    await Deno.writeTextFile(file, right);
    assertEquals((await host.podnet("cni", "del", "web", "net1")).code, 1);
  };
  await refused();
  await host.ok("cni", "add", "web", "lan", ...place);
  await host.ok("cni", "del", "web", "net1");
  await refused();
  await host.ok("cni", "del", "web", "net1", "--force");
  await host.ok("rm", "web");
  await Deno.writeTextFile(file, wrong);
  const gc = (...more: string[]) =>
    host.podnet("cni", "gc", "lan", ...place, ...more);
  assertEquals((await gc()).code, 1);
  assertEquals([...Deno.readDirSync(results)].length, 1);
  const forced = await gc("--force");
  assertMatch(forced.stdout, /^CONTAINER +INTERFACE\npn-\S+ +net1\n$/);
  assertMatch(forced.stderr, /DEL: /);
  assertEquals([...Deno.readDirSync(results)], []);
  assertEquals((await gc("--force")).code, 0);
});

Deno.test("podnet cni tells what is wrong by the option that it is wrong with", async () => {
  await using host = await machine();
  const { place, directory } = host;
  const add = (...args: string[]) =>
    host.podnet("cni", "add", "web", "lan", ...place, ...args);
  const wrong: readonly [
    Promise<{ code: number; stderr: string }>,
    number,
    RegExp,
  ][] = [
    [host.podnet("cni", "add", "web", "x", ...place), 3, /"x": it has lan/],
    [host.podnet("cni", "add", "nobody", "lan", ...place), 3, /nobody/],
    [host.podnet("cni", "add", "web", "/x.conflist"), 1, /ENOENT/],
    [host.podnet("cni", "check", "web", "net7"), 2, /no such attachment/],
    [add("--ifname", "eth0"), 2, /^podnet: --ifname eth0: /],
    [add("--timeout", "soon"), 2, /--timeout "soon"/],
    [add("--runtime-config", "{"), 2, /--runtime-config/],
    [add("--arg", "a"), 2, /--arg/],
    [add("--plugin-dir", "bin"), 2, /^podnet: --plugin-dir bin: /],
    [add("--plugin-dir", directory), 1, /plugin bridge .*: it is not in /],
  ];
  for (const [outcome, code, text] of wrong) {
    const { code: got, stderr } = await outcome;
    assertEquals(got, code, stderr);
    assertMatch(stderr, text);
  }
  // CNI_PATH is where plugins are, unless it is said.
  const byVariable = await host.run(
    "env",
    `CNI_PATH=${directory}`,
    ...host.podnetCommand("cni", "status", "lan", ...place),
  );
  assert(byVariable.stderr.includes(`it is not in ${directory}`));
});

/** `podnet cni install` and `uninstall`: what they write, beside runtimes that read, and with hardly any environment. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CNI_PLUGIN } from "../../../src/cni/install/conflist.ts";
import { launcherText } from "../../../src/install/launcher.ts";
import { parseNetworkList } from "../../../src/cni/model/mod.ts";
import { podnetCommand } from "../../cli/host.ts";
import { Chain, PluginHost } from "./driver.ts";

function* filesBelow(path: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    if (isDirectory) yield* filesBelow(`${path}/${name}`);
    else yield `${path}/${name}`;
  }
}

/** Each file with its inode: a file that was written anew has another one. */
function inodes(path: string): Record<string, number | null> {
  return Object.fromEntries(
    [...filesBelow(path)].sort().map((
      file,
    ) => [file, Deno.lstatSync(file).ino]),
  );
}

/** Gives what is installed the name of another version; the result is its launcher. */
async function makeOlder({ directory }: PluginHost): Promise<string> {
  const launcher = `${directory}/bin/podnet`;
  const text = await Deno.readTextFile(launcher);
  const [, version = ""] = /\/([0-9a-f]{12})\//.exec(text) ?? [];
  const older = text.replace(version, "0123456789ab");
  const library = `${directory}/lib`;
  Deno.renameSync(`${library}/${version}`, `${library}/0123456789ab`);
  await Deno.writeTextFile(launcher, older);
  return older;
}

Deno.test("podnet cni install is repeatable, and uninstall takes everything away", async () => {
  await using machine = await PluginHost.start();
  const { directory, host } = machine;
  for (
    const [name, mode] of [["bin/podnet", 0o755], [
      "conf/10-podnet.conflist",
      0o644,
    ]] as const
  ) {
    assertEquals(
      (Deno.statSync(`${directory}/${name}`).mode ?? 0) & 0o777,
      mode,
    );
  }
  const before = {
    bin: inodes(`${directory}/bin`),
    lib: inodes(`${directory}/lib`),
  };
  assertEquals(await host.ok("cni", "install", ...machine.directories()), "");
  assertEquals(inodes(`${directory}/bin`), before.bin);
  assertEquals(inodes(`${directory}/lib`), before.lib);
  // Another network's name changes the one file.
  const changed = await host.ok(
    "cni",
    "install",
    "--network",
    "blue",
    ...machine.directories(),
  );
  assertEquals(changed, `${directory}/conf/10-podnet.conflist\n`);
  // Who reads the directory takes the first of its networks.
  for (const name of ["05-other.conf", "10-a.txt", "99-last.conflist"]) {
    Deno.writeTextFileSync(`${directory}/conf/${name}`, "{}");
  }
  const second = await host.podnet("cni", "install", ...machine.directories());
  assertEquals(second.code, 0);
  assertEquals(
    second.stderr.match(/\S*\/conf\/\S*/g),
    [`${directory}/conf/05-other.conf`],
  );
  for (const name of ["05-other.conf", "10-a.txt", "99-last.conflist"]) {
    Deno.removeSync(`${directory}/conf/${name}`);
  }
  // Modules of an earlier version, and what a killed installation left, go.
  Deno.mkdirSync(`${directory}/lib/0123456789ab`);
  Deno.mkdirSync(`${directory}/lib/0123456789cd.tmp`);
  Deno.mkdirSync(`${directory}/lib/others`);
  await host.ok("cni", "install", ...machine.directories());
  const versions = [...Deno.readDirSync(`${directory}/lib`)].map(({ name }) =>
    name
  );
  assertEquals(versions.length, 2);
  assert(versions.includes("others"));
  Deno.removeSync(`${directory}/lib/others`);
  await host.ok("cni", "uninstall", ...machine.directories());
  assertEquals([...filesBelow(directory)], []);
  assertEquals(await host.ok("cni", "uninstall", ...machine.directories()), "");
});

Deno.test("podnet cni install leaves all as it was when the plugin does not run", async () => {
  await using machine = await PluginHost.start();
  const { directory, host } = machine;
  const broken = `${host.stateDir}/deno`;
  await Deno.writeTextFile(broken, "#!/bin/sh\nexit 3\n", { mode: 0o755 });
  const install = ["cni", "install", "--network", "blue"];
  const fail = async (deno: string, reason: string) => {
    const older = await makeOlder(machine);
    const before = inodes(directory);
    const { code, stdout, stderr } = await host.podnet(
      ...[...install, ...machine.directories(), "--deno", deno],
    );
    assertEquals(inodes(directory), before);
    assertEquals(await Deno.readTextFile(`${directory}/bin/podnet`), older);
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, `${deno}, so nothing was changed: `);
    assertStringIncludes(stderr, reason);
  };
  await fail(broken, "ended with 3");
  await fail(`${host.stateDir}/nowhere`, "not found");
  await host.ok("cni", "uninstall", ...machine.directories());
  const first = [...install, ...machine.directories(), "--deno", broken];
  assertEquals((await host.podnet(...first)).code, 1);
  assertEquals([...filesBelow(directory)], []);
});

Deno.test("launchers in several directories share modules and cache, which go with the last one that leads to them", async () => {
  await using machine = await PluginHost.start();
  const { directory, host } = machine;
  const first = machine.directories();
  const second = [...first, "--bin-dir", `${directory}/more`];
  const cni = async (...args: readonly string[]) =>
    (await host.ok("cni", ...args)).trim().split("\n").map((path) =>
      path.replace(`${directory}/`, "").replaceAll(
        /[0-9a-f]{12}/g,
        (digits) => digits === "0123456789ab" ? "OLDER" : "VERSION",
      )
    );
  const assertRuns = async (bin: string) => {
    const { code, stderr } = await host.run(
      ...["env", "-i", "CNI_COMMAND=VERSION", `${directory}/${bin}/podnet`],
    );
    assertEquals(code, 0, stderr);
  };
  const older = await makeOlder(machine);
  assertEquals(await cni("install", ...second), ["lib/VERSION", "more/podnet"]);
  await assertRuns("bin");
  await assertRuns("more");
  assertEquals(
    await cni("uninstall", ...second),
    ["conf/10-podnet.conflist", "more/podnet", "lib/VERSION"],
  );
  await assertRuns("bin");
  assertEquals(
    await cni("install", ...first),
    ["lib/VERSION", "bin/podnet", "conf/10-podnet.conflist"],
  );
  // Whoever has read the launcher that was finds its modules.
  const late = ["env", "-i", "CNI_COMMAND=VERSION", "sh", "-c", older];
  const { code, stderr } = await host.run(...late);
  assertEquals(code, 0, stderr);
  // Of the same version.
  assertEquals(
    await cni("install", ...second),
    ["lib/VERSION/VERSION.launcher", "more/podnet"],
  );
  assertEquals(
    await cni("uninstall", ...first),
    ["conf/10-podnet.conflist", "bin/podnet", "lib/OLDER"],
  );
  await assertRuns("more");
  assertEquals(
    await cni("uninstall", ...second),
    ["more/podnet", "lib/VERSION", "cache"],
  );
  assertEquals([...filesBelow(directory)], []);
});

Deno.test("podnet cni leaves alone what is not podnet's, and does not go while containers need it", async () => {
  await using machine = await PluginHost.start();
  const { directory, host } = machine;
  const attachment = { containerID: "c", netns: await machine.container("c") };
  await machine.add(attachment, machine.config());
  const used = await host.podnet("cni", "uninstall", ...machine.directories());
  assertEquals(used.code, 2);
  assertStringIncludes(used.stderr, "1 container has its network");
  await machine.ok("DEL", attachment, machine.config());
  await host.ok("cni", "uninstall", ...machine.directories());
  for (const name of ["bin/podnet", "conf/10-podnet.conflist"]) {
    const path = `${directory}/${name}`;
    Deno.mkdirSync(path.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(path, "somebody's");
    for (const command of ["install", "uninstall"]) {
      const { code, stderr } = await host.podnet(
        "cni",
        command,
        ...machine.directories(),
      );
      assert(code !== 0);
      assertStringIncludes(stderr, path);
    }
    assertEquals(Deno.readTextFileSync(path), "somebody's");
    Deno.removeSync(path);
  }
  const wrong = await host.podnet(
    "cni",
    "install",
    "--pod-cidr",
    "10.0.0.0/33",
    "--bin-dir",
    `${directory}/x`,
  );
  assertEquals(wrong.code, 2);
  const relative = await host.podnet("cni", "install", "--bin-dir", "bin");
  assertEquals(relative.code, 2);
});

Deno.test("podnet cni uninstall sees the containers of every node, in the state directory of the configuration too", async () => {
  await using machine = await PluginHost.start();
  const { host } = machine;
  const attachments = await Promise.all(["c", "d"].map(async (name) => ({
    containerID: name,
    netns: await machine.container(name),
  })));
  for (const attachment of attachments) {
    await machine.add(attachment, machine.config());
  }
  const uninstall = ["cni", "uninstall", ...machine.directories()];
  const selections = [
    ["--node", "other"],
    ["--node", "other", "--state-dir", `${machine.directory}/state`],
  ];
  for (const selection of selections) {
    const { code, stdout, stderr } = await host.run(
      ...podnetCommand([...uninstall, ...selection]),
    );
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(
      stderr,
      "2 containers have their network from the plugin, on node test",
    );
  }
  for (const attachment of attachments) {
    await machine.ok("DEL", attachment, machine.config());
  }
  await host.ok("create", "no-container");
  await host.ok(...uninstall);
  await host.ok("rm", "no-container");
});

Deno.test("podnet cni install keeps what is written in the configuration, but for what options say", async () => {
  await using machine = await PluginHost.start();
  const { host, directory } = machine;
  const path = `${directory}/conf/10-podnet.conflist`;
  const read = () => JSON.parse(Deno.readTextFileSync(path));
  const install = async (...options: readonly string[]) => {
    const words = ["cni", "install", ...machine.directories(), ...options];
    const { code, stdout, stderr } = await host.run(...podnetCommand(words));
    assertEquals(code, 0, stderr);
    return stdout;
  };
  await install("--pod-cidr", "10.244.1.0/24", "--node", "a");
  const { plugins: [plugin], ...list } = read();
  assertEquals(plugin.podCidrs, ["10.244.1.0/24"]);
  // Of an earlier version, which knew less.
  const { aliases: _, ...capabilities } = plugin.capabilities;
  const edited = {
    ...list,
    disableCheck: true,
    name: "blue",
    plugins: [{
      ...plugin,
      ipMasq: false,
      capabilities: { ...capabilities, ips: false },
    }],
  };
  const text = `${JSON.stringify(edited, null, "\t")}\n`;
  Deno.writeTextFileSync(path, text);
  const expected = structuredClone(edited);
  expected.plugins[0].capabilities.aliases = true;
  assertEquals(await install("--node", "a"), `${path}\n`);
  assertEquals(read(), expected);
  // Written in another way it says the same.
  const own = JSON.stringify(expected);
  Deno.writeTextFileSync(path, own);
  assertEquals(await install(), "");
  assertEquals(Deno.readTextFileSync(path), own);
  await install(
    ...["--node", "b", "--network", "red", "--state-dir", "/run/other"],
    ...["--pod-cidr", "10.244.2.0/24"],
  );
  expected.name = "red";
  Object.assign(expected.plugins[0], {
    node: "b",
    stateDir: "/run/other",
    podCidrs: ["10.244.2.0/24"],
  });
  assertEquals(read(), expected);
  // What cannot be read, or is more than podnet's, is not changed, nor is anything else.
  const chain = { ...expected, plugins: [...expected.plugins, { type: "x" }] };
  for (const text of [own.slice(0, -1), JSON.stringify(chain)]) {
    Deno.writeTextFileSync(path, text);
    const before = inodes(directory);
    const { code, stderr } = await host.podnet(
      ...["cni", "install", ...machine.directories()],
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, `${path} is not podnet's, or damaged`);
    assertEquals(Deno.readTextFileSync(path), text);
    assertEquals(inodes(directory), before);
  }
});

Deno.test("the configuration that podnet cni install writes makes runtimes use podnet", async () => {
  await using machine = await PluginHost.start();
  await machine.host.ok(
    "cni",
    "install",
    "--pod-cidr",
    "10.78.0.0/24",
    ...machine.directories(),
  );
  const text = Deno.readTextFileSync(
    `${machine.directory}/conf/10-podnet.conflist`,
  );
  const list = parseNetworkList(text);
  assertEquals([list.name, list.cniVersion], ["podnet", "1.1.0"]);
  const chain = new Chain(machine, list.raw, {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
    dns: { servers: ["192.0.2.53"] },
  });
  const attachment = { containerID: "c", netns: await machine.container("c") };
  assertEquals(await chain.add(attachment), undefined);
  assertStringIncludes(chain.read.ips[0]?.address ?? "", "10.78.0.");
  assertEquals(chain.read.dns, { nameservers: ["192.0.2.53"] });
  assertEquals(await chain.check(attachment), undefined);
  assertEquals(await chain.del(attachment), undefined);
  assertEquals(await machine.traces(), []);
});

Deno.test("the launcher needs no environment and writes nowhere but in its cache, which may be missing", async () => {
  await using machine = await PluginHost.start();
  const { directory } = machine;
  const attachment = { containerID: "c", netns: await machine.container("c") };
  const { code } = await machine.host.runWith(
    JSON.stringify(machine.config()),
    [
      ...["env", "-i", "CNI_COMMAND=ADD", "CNI_CONTAINERID=c"],
      ...[`CNI_NETNS=${attachment.netns}`, "CNI_IFNAME=eth0"],
      ...["/usr/bin/strace", "-f", "-o", `${directory}/trace`],
      ...["-e", "trace=%file", `${directory}/bin/podnet`],
    ],
  );
  assertEquals(code, 0);
  const trace = await Deno.readTextFile(`${directory}/trace`);
  const written = trace.split("\n").filter((line) =>
    /O_WRONLY|O_RDWR|O_CREAT|\b(?:mkdir|rename|unlink|link|symlink)\w*\(/
      .test(line)
  ).flatMap((line) => /"(\/[^"]*)"/.exec(line)?.[1] ?? []);
  assert(written.length > 5, trace);
  const own = [`${directory}/cache`, machine.host.stateDir, "/proc/", "/dev/"];
  assertEquals(
    written.filter((path) => !own.some((place) => path.startsWith(place))),
    [],
  );
  await machine.ok("DEL", attachment, machine.config());
  // Taken away, and made to be of no use.
  await machine.sh(`rm -r ${directory}/cache`);
  await machine.add(attachment, machine.config());
  await machine.sh(`rm -r ${directory}/cache; echo > ${directory}/cache`);
  await machine.ok("DEL", attachment, machine.config());
  await machine.sh(`rm ${directory}/cache`);
});

Deno.test("paths with spaces and quotes are words of the launcher", () => {
  const text = launcherText(CNI_PLUGIN, {
    deno: "/opt/my deno/deno",
    entry: "/lib/it's/cni.js",
    cache: "/var/cache/$x",
  });
  assertStringIncludes(text, "'/opt/my deno/deno'");
  assertStringIncludes(text, "'/lib/it'\\''s/cni.js'");
  assertStringIncludes(text, "DENO_DIR='/var/cache/$x'");
});

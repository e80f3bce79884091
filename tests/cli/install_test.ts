/** `podnet install` and `uninstall`: a command that does what a checkout's does, and what is installed by it. */
import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { launcherText } from "../../src/install/launcher.ts";
import config from "../../deno.json" with { type: "json" };
import type { Outcome } from "./host.ts";
import { InstallHost } from "./install_host.ts";

/** A host on which the command is installed. */
async function installed(): Promise<InstallHost> {
  await using started = new AsyncDisposableStack();
  const machine = started.use(await InstallHost.start());
  await machine.host.ok("install", ...machine.directories());
  started.move();
  return machine;
}

/** Runs the installed command, with hardly any environment. */
async function podnet(
  { host, directory }: InstallHost,
  ...args: readonly string[]
): Promise<Outcome> {
  const home = `HOME=${directory}`;
  return await host.run("env", "-i", home, `${directory}/bin/podnet`, ...args);
}

Deno.test("podnet install is repeatable, and uninstall takes everything away", async () => {
  await using machine = await installed();
  const { host, directory } = machine;
  assertEquals(await host.ok("install", ...machine.directories()), "");
  // What is installed can install itself: the same.
  const again = await podnet(machine, "install", ...machine.directories());
  assertEquals(again, { code: 0, stdout: "", stderr: "" });
  for (const { name } of Deno.readDirSync(`${directory}/lib`)) {
    for (const file of Deno.readDirSync(`${directory}/lib/${name}`)) {
      const text = await Deno.readTextFile(
        `${directory}/lib/${name}/${file.name}`,
      );
      assertEquals(/[^\0-\x7f]/.exec(text), null, file.name);
    }
  }
  const kept = new Map(
    [...Deno.readDirSync(`${directory}/cache`)].map(({ name }) =>
      [name, Deno.statSync(`${directory}/cache/${name}`).size] as const
    ),
  );
  // Compiled code is in a database, and not in its log.
  const largest = Math.max(...kept.values());
  assert(largest > 500_000, `${[...kept]}`);
  for (const [name, size] of kept) {
    assert(!name.endsWith("-wal") || size < 100_000, `${name}: ${size}`);
  }
  const path = `${directory}/bin/podnet`;
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, "somebody's");
  for (const command of ["install", "uninstall"]) {
    const { code, stderr } = await host.podnet(
      command,
      ...machine.directories(),
    );
    assert(code !== 0);
    assertStringIncludes(stderr, path);
  }
  await Deno.writeTextFile(path, text);
  const removed = await host.ok("uninstall", ...machine.directories());
  assertEquals(removed.trim().split("\n").length, 3);
  assertEquals([...Deno.readDirSync(`${directory}/bin`)], []);
  assertEquals(await host.ok("uninstall", ...machine.directories()), "");
});

Deno.test("an installation takes what is compiled of versions that are gone out of the cache", async () => {
  await using machine = await InstallHost.start();
  const { host, directory } = machine;
  const install = async (library: string) =>
    await host.ok(
      ...["cni", "install", ...machine.directories("conf")],
      ...["--lib-dir", `${directory}/${library}`],
    );
  /** The libraries that the cache has compiled code of. */
  const compiled = () => {
    using database = new DatabaseSync(`${directory}/cache/v8_code_cache_v2`);
    const rows = database.prepare("SELECT specifier FROM codecache").all();
    const libraries = rows.map(({ specifier }) =>
      `${specifier}`.replace(`file://${directory}/`, "").replace(/\/.*/, "")
    );
    return [...new Set(libraries)].sort();
  };
  await install("first");
  await install("second");
  assertEquals(compiled(), ["first", "second"]);
  await Deno.remove(`${directory}/first`, { recursive: true });
  await install("second");
  assertEquals(compiled(), ["second"]);
});

Deno.test("the installed command does what a checkout's does, whichever of its programs that is", async () => {
  await using machine = await installed();
  const { host } = machine;
  const select = ["--node", "test", "--state-dir", host.stateDir];
  const cidr = ["--pod-cidr", "10.79.0.0/24"];
  assertEquals(await podnet(machine, "--version"), {
    code: 0,
    stdout: `podnet ${config.version}\n`,
    stderr: "",
  });
  const create = ["create", ...select, "web", ...cidr, "-p", "8080:80"];
  const made = await podnet(machine, ...create, "-o", "json");
  assertEquals({ ...made, stdout: "" }, { code: 0, stdout: "", stderr: "" });
  assertEquals(
    JSON.parse(made.stdout),
    await host.json("create", "web", "-p", "8080:80"),
  );
  // Options of the node before the command lead to the program that has all commands.
  const found = await podnet(
    machine,
    ...select,
    "create",
    "web",
    "-p",
    "8080:80",
  );
  assertEquals([found.code, found.stderr], [0, ""]);
  const listed = await podnet(machine, "ls", ...select, "-o", "json");
  assertEquals(JSON.parse(listed.stdout), await host.json("ls"));
  for (
    const words of [
      ["create", "--help"],
      ["rm", "-h"],
      ["create"],
      ["rm", "--forse", "x"],
      ["create", ...select, "web", "-p", "8080:81"],
      ["rm", ...select, "nobody"],
      ["create", "--node", "none", "--state-dir", host.stateDir, "x"],
    ]
  ) {
    assertEquals(await podnet(machine, ...words), await host.podnet(...words));
  }
  assertEquals(await podnet(machine, "rm", ...select, "web"), {
    code: 0,
    stdout: "web\n",
    stderr: "",
  });
  await host.ok("node", "down");
});

Deno.test("the installed command is for every user, and the installation says when its Deno is not", async () => {
  await using machine = await InstallHost.start();
  const { host, directory } = machine;
  await Deno.chmod(directory, 0o755);
  await host.run(
    ...["sh", "-ec"],
    `mkdir -m 700 /mnt/home
mkdir -p /mnt/home/_npx/7a/deno
: > /mnt/home/_npx/7a/deno/deno
mount --bind /mnt/deno /mnt/home/_npx/7a/deno/deno
ln -s /mnt/home/_npx/7a/deno/deno /mnt/link`,
  );
  const somebody = async () =>
    await host.run(
      ...["setpriv", "--reuid=65534", "--clear-groups"],
      ...[`${directory}/bin/podnet`, "--version"],
    );
  const install = ["install", ...machine.directories()];
  const warned = await host.podnet(...install, "--deno", "/mnt/link");
  assertEquals(warned.code, 0);
  assertEquals(
    warned.stderr,
    `podnet: /mnt/link is to run ${directory}/bin/podnet, but /mnt/home is closed to other users, and npm may delete it with its cache: copy it to a place like /usr/local/bin/deno, and install with --deno /usr/local/bin/deno\n`,
  );
  assertEquals((await somebody()).code, 126);
  assertEquals(await host.ok(...install), `${directory}/bin/podnet\n`);
  assertEquals(await somebody(), {
    code: 0,
    stdout: `podnet ${config.version}\n`,
    stderr: "",
  });
  // Nor does it matter where they are.
  const gone = `cd "$(mktemp -d)"; rmdir "$PWD"; "$0" --version && "$0" rm -h`;
  const { code } = await host.run("sh", "-c", gone, `${directory}/bin/podnet`);
  assertEquals(code, 0);
  // Who cannot start the launcher need not run Deno.
  await Deno.chmod(directory, 0o700);
  const { stderr } = await host.podnet(...install, "--deno", "/mnt/link");
  assertEquals(stderr.includes("closed"), false, stderr);
});

Deno.test("an installation says of a place that takes no files that it is that, and where else to install", async () => {
  await using machine = await installed();
  const { host, directory } = machine;
  const mount = await host.run(
    ...["sh", "-ec"],
    `mkdir /mnt/ro; mount -t tmpfs -o ro tmpfs /mnt/ro; : > /mnt/file`,
  );
  assertEquals(mount.code, 0, mount.stderr);
  const refused = async (option: string, place: string, reason: string) => {
    const places = [...machine.directories(), `--${option}`, place];
    assertEquals(await host.podnet("install", ...places), {
      code: 1,
      stdout: "",
      stderr: `podnet: ${reason}\n`,
    });
  };
  const readOnly =
    "is on a read-only file system: remount it read-write, or install elsewhere (--bin-dir, --lib-dir, --cache-dir; see --help)";
  const [version] = [...Deno.readDirSync(`${directory}/lib`)];
  await refused("lib-dir", "/mnt/ro", `/mnt/ro/${version?.name} ${readOnly}`);
  await refused("bin-dir", "/mnt/ro", `/mnt/ro/podnet ${readOnly}`);
  await refused(
    "bin-dir",
    "/mnt/file",
    "/mnt/file/podnet has a file where a directory is needed",
  );
});

Deno.test("a command that runs on ends as it should when podnet was installed anew meanwhile, however often", async () => {
  await using machine = await installed();
  const { host, directory } = machine;
  const select = ["--node", "test", "--state-dir", host.stateDir];
  await host.ok("node", "up", "--pod-cidr", "10.79.0.0/24");
  const remove = ["nsenter", `--target=${host.pid}`, "--net"];
  assertEquals(
    await host.run(
      `${directory}/bin/podnet`,
      ...["run", ...select, "web", "--"],
      ...["sh", "-ec", 'rm -r "$0"; exec "$@"', `${directory}/lib`],
      ...[...remove, ...host.podnetCommand("rm", "web")],
    ),
    { code: 0, stdout: "web\n", stderr: "" },
  );
  await host.ok("node", "down");
});

Deno.test("the installed command installs the CNI plugin", async () => {
  await using machine = await installed();
  const directories = machine.directoriesIn(
    `${machine.directory}/cni`,
    "conf",
  );
  const { code, stderr } = await podnet(
    machine,
    "cni",
    "install",
    ...directories,
  );
  assertEquals([code, stderr], [0, ""]);
  const asked = await machine.host.run(
    ...["env", "-i", "CNI_COMMAND=VERSION"],
    `${machine.directory}/cni/bin/podnet`,
  );
  assertStringIncludes(asked.stdout, "supportedVersions");
  await podnet(machine, "cni", "uninstall", ...directories);
});

Deno.test("a launcher with a shortcut leads some words to a program of their own", () => {
  const text = launcherText({
    title: "podnet",
    command: "podnet",
    permissions: ["--allow-net"],
    words: [],
    shortcut: {
      words: ["create", "rm"],
      entry: "pods.js",
      permissions: ["--allow-run"],
    },
  }, { deno: "/opt/my deno", entry: "/lib/it's/main.js", cache: "/cache" });
  assertEquals(
    text.split("\n").map((line) => line.replace(/ run .*--v8-flags=\S+/, " …")),
    [
      "#!/bin/sh",
      "# podnet: made by podnet install, taken away by podnet uninstall.",
      '[ "$PWD" ] || cd / # Deno does not start in a directory that was removed',
      "case $1 in",
      "create|rm) DENO_DIR=/cache DENO_NO_UPDATE_CHECK=1 exec '/opt/my deno' … --allow-run '/lib/it'\\''s/pods.js' \"$@\" ;;",
      "*) DENO_NO_UPDATE_CHECK=1 exec '/opt/my deno' … --allow-net '/lib/it'\\''s/main.js' \"$@\" ;;",
      "esac",
      "",
    ],
  );
});

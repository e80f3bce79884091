/** `podnet oci-hook install`, `config` and `uninstall`: what they write, for whom, and what they leave alone. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { podnetCommand } from "../cli/host.ts";
import { InstallHost } from "../cli/install_host.ts";
import { exists } from "./hooked.ts";

Deno.test("podnet oci-hook install is repeatable, and uninstall takes everything away", async () => {
  await using machine = await InstallHost.start();
  const { host, directory } = machine;
  const install = ["oci-hook", "install", ...machine.directories("hooks")];
  const written = await host.ok(...install, "--pod-cidr", "10.244.1.0/24");
  assertEquals(
    written.trim().split("\n").map((path) =>
      path.replace(/[0-9a-f]{12}$/, "VERSION")
    ),
    [
      `${directory}/lib/VERSION`,
      `${directory}/bin/podnet-oci-hook`,
      `${directory}/hooks/50-podnet.json`,
    ],
  );
  assertEquals(await host.ok(...install, "--pod-cidr", "10.244.1.0/24"), "");
  // Other options are other arguments of the hook.
  assertEquals(
    await host.ok(...install, "--timeout", "20"),
    `${directory}/hooks/50-podnet.json\n`,
  );
  const { version, hook, when, stages } = JSON.parse(
    await Deno.readTextFile(`${directory}/hooks/50-podnet.json`),
  );
  assertEquals([version, stages], ["1.0.0", ["createRuntime", "poststop"]]);
  assertEquals(when, { annotations: { "^io\\.podnet\\.": ".*" } });
  assertEquals(hook, {
    path: `${directory}/bin/podnet-oci-hook`,
    args: [
      ...["podnet-oci-hook", "--node", "test", "--state-dir", host.stateDir],
      ...["--pod-cidr", "10.244.1.0/24", "--timeout", "20"],
    ],
    timeout: 21,
  });
  // What config prints is the same, by whichever of the two commands.
  const words = [
    ...["config", "--bin-dir", `${directory}/bin`],
    ...["--pod-cidr", "10.244.1.0/24", "--timeout", "20"],
  ];
  const { hooks } = JSON.parse(await host.ok("oci-hook", ...words));
  assertEquals(hooks, { createRuntime: [hook], poststop: [hook] });
  const launched = await host.run(
    `${directory}/bin/podnet-oci-hook`,
    ...words,
    ...["--node", "test", "--state-dir", host.stateDir],
  );
  assertEquals(JSON.parse(launched.stdout), { hooks });

  await host.ok("oci-hook", "uninstall", ...machine.directories("hooks"));
  const left = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  assertEquals(left, ["bin", "hooks"]);
  for (const name of left) {
    assertEquals([...Deno.readDirSync(`${directory}/${name}`)], []);
  }
});

Deno.test("podnet oci-hook install keeps what is written in the file, but for what options say", async () => {
  await using machine = await InstallHost.start();
  const { host, directory } = machine;
  const path = `${directory}/hooks/50-podnet.json`;
  const read = () => JSON.parse(Deno.readTextFileSync(path));
  const install = async (...options: readonly string[]) => {
    const directories = machine.directories("hooks");
    const words = ["oci-hook", "install", ...directories, ...options];
    const { code, stdout, stderr } = await host.run(...podnetCommand(words));
    assertEquals(code, 0, stderr);
    return stdout;
  };
  const cidrs = ["--pod-cidr", "10.244.1.0/24", "--pod-cidr", "fd00:1::/64"];
  const first = ["--node", "a", "--state-dir", "/run/st", "--netns", "/run/n"];
  await install(...first, ...cidrs, "--timeout", "30");
  const { hook, ...file } = read();
  const expected = [...first, ...cidrs, "--timeout", "30"];
  assertEquals(hook.args, ["podnet-oci-hook", ...expected]);
  assertEquals(await install(), "");
  assertEquals(await install("--timeout", "30", ...cidrs), "");
  // By hand, in another order, and with what podnet does not write.
  const args = [
    ...["podnet-oci-hook", "--debug", "--timeout=30", ...cidrs],
    ...["--state-dir=/run/st", "--node", "a"],
  ];
  const edited = {
    ...file,
    when: { always: true },
    hook: { ...hook, args, timeout: 40, env: ["A=b"] },
  };
  const text = JSON.stringify(edited);
  Deno.writeTextFileSync(path, text);
  assertEquals(await install(), "");
  assertEquals(Deno.readTextFileSync(path), text);
  const second = ["--pod-cidr", "10.244.2.0/24"];
  const changes = [...second, "--node", "b", "--netns", "/run/m"];
  assertEquals(await install(...changes, "--timeout", "8"), `${path}\n`);
  const changed = [
    ...["podnet-oci-hook", "--debug", "--timeout", "8", ...second],
    ...["--state-dir=/run/st", "--node", "b", "--netns", "/run/m"],
  ];
  assertEquals(read(), {
    ...edited,
    hook: { ...edited.hook, args: changed, timeout: 9 },
  });
  assertEquals(await install(...changes), "");
  // What is missing is added, and what cannot be read is left alone.
  Deno.writeTextFileSync(path, JSON.stringify({ hook: { path: hook.path } }));
  await install("--node", "c");
  assertEquals(read(), {
    ...file,
    hook: {
      path: hook.path,
      args: ["podnet-oci-hook", "--node", "c", "--timeout", "9"],
      timeout: 10,
    },
  });
  const damaged = JSON.stringify({ hook: { path: hook.path, args: [1] } });
  Deno.writeTextFileSync(path, damaged);
  const { code, stderr } = await host.podnet(
    ...["oci-hook", "install", ...machine.directories("hooks")],
  );
  assertEquals(code, 1);
  assertStringIncludes(stderr, `${path} is not podnet's, or damaged`);
  assertEquals(Deno.readTextFileSync(path), damaged);
});

Deno.test("podnet oci-hook leaves alone what is not podnet's, and does not go while containers need it", async () => {
  await using machine = await InstallHost.start();
  const { host, directory } = machine;
  const name = `${directory}/hooks/50-podnet.json`;
  await Deno.mkdir(`${directory}/hooks`);
  await Deno.writeTextFile(name, '{"hook":{"path":"/usr/bin/other"}}');
  for (const command of ["install", "uninstall"]) {
    const { code, stderr } = await host.podnet(
      "oci-hook",
      command,
      ...machine.directories("hooks"),
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "is not podnet's");
  }
  assertEquals(
    await Deno.readTextFile(name),
    '{"hook":{"path":"/usr/bin/other"}}',
  );
  assertEquals([...Deno.readDirSync(directory)].length, 1);
  await Deno.remove(name);

  await host.ok("oci-hook", "install", ...machine.directories("hooks"));
  const sleep = ["unshare", "--net", "sh", "-c", "echo $$; exec sleep 100"];
  const child = new Deno.Command("nsenter", {
    args: [`--target=${host.pid}`, "--net", "--mount", ...sleep],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const pid = Number(new TextDecoder().decode(value));
  const container = { ociVersion: "1.0.2", id: "web", bundle: directory };
  const hook = [`${directory}/bin/podnet-oci-hook`, "--node", "test"];
  const call = async (state: unknown) =>
    await host.runWith(JSON.stringify(state), [
      ...hook,
      ...["--state-dir", host.stateDir, "--pod-cidr", "10.244.1.0/24"],
    ]);
  try {
    const made = await call({ ...container, status: "creating", pid });
    assertEquals(made, { code: 0, stdout: "", stderr: "" });
    for (const selection of [[], ["--state-dir", `${directory}/state`]]) {
      const used = await host.run(...podnetCommand([
        ...["oci-hook", "uninstall", "--node", "other", ...selection],
        ...machine.directories("hooks"),
      ]));
      assertEquals(used.code, 2);
      assertStringIncludes(used.stderr, "1 container has its network");
    }
  } finally {
    Deno.kill(pid, "SIGKILL");
    await reader.cancel();
    await child.status;
  }
  assertEquals((await call({ ...container, status: "stopped" })).code, 0);
  await host.ok("oci-hook", "uninstall", ...machine.directories("hooks"));
  await host.ok("node", "down");
  assert(!await exists(hook[0] ?? ""));
});

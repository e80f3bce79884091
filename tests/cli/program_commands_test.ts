import { assertEquals, assertMatch } from "@std/assert";
import { Host } from "./host.ts";

const POD_CIDR = ["--pod-cidr", "10.244.1.0/24"];

/** Makes sandboxes until it is disposed of: whoever is to be told of one listens from some moment after its start. */
function keepMaking(host: Host): AsyncDisposable {
  let isEnough = false;
  const making = (async () => {
    while (!isEnough) await host.ok("run", "job", "--", "true");
  })();
  return {
    async [Symbol.asyncDispose]() {
      isEnough = true;
      await making;
    },
  };
}

Deno.test("podnet exec ends as its command does", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR);
  for (
    const [code, ...command] of [
      [0, "true"],
      [7, "sh", "-c", "exit 7"],
      [255, "sh", "-c", "exit 255"],
      [143, "sh", "-c", "kill -TERM $$"],
      [137, "sh", "-c", "kill -KILL $$"],
      [126, "/etc/passwd"],
      [127, "no-such-command"],
      [127, "/no/such/command"],
    ] as const
  ) {
    const outcome = await host.podnet("exec", "web", "--", ...command);
    assertEquals(outcome.code, code, command.join(" "));
    assertEquals(outcome.stdout, "");
    assertMatch(
      outcome.stderr,
      code === 126 || code === 127 ? /^podnet: "[^\n]+\n$/ : /^$/,
    );
  }
});

Deno.test("podnet exec runs its command inside the sandbox with the caller's streams, directory and environment", async () => {
  await using host = await Host.start();
  await host.ok("create", "web", ...POD_CIDR, "--ip", "10.244.1.9");
  const script =
    'cat; echo; pwd; echo "$NO_COLOR"; ip -brief -4 address show eth0; echo err >&2';
  const { code, stdout, stderr } = await host.runWith(
    "from outside",
    host.podnetCommand("exec", "web", "--", "sh", "-c", script),
  );
  assertEquals([code, stderr], [0, "err\n"]);
  const lines = stdout.trimEnd().split("\n");
  // nsenter, which the test starts podnet with, leaves it at the root.
  assertEquals(lines.slice(0, 3), ["from outside", "/", "1"]);
  assertMatch(lines[3] ?? "", /^eth0@.* 10\.244\.1\.9\/32/);
});

for (
  const { signal, code } of [
    { signal: "SIGTERM", code: 41 },
    { signal: "SIGINT", code: 42 },
    { signal: "SIGHUP", code: 43 },
  ] as const
) {
  Deno.test(`podnet exec hands ${signal} to its command`, async () => {
    await using host = await Host.start();
    await host.ok("create", "web", ...POD_CIDR);
    const child = host.start(
      ...["exec", "web", "--", "sh", "-c"],
      "trap 'exit 41' TERM; trap 'exit 42' INT; trap 'exit 43' HUP; echo ready; while :; do sleep 0.02; done",
    );
    assertEquals(await child.line(), "ready");
    assertEquals(await child.end(signal), { code, stderr: "" });
  });
}

for (const command of ["exec web", "run job"]) {
  Deno.test(`podnet ${command} and its command ignore the signals that podnet was started to ignore`, async () => {
    await using host = await Host.start();
    await host.ok("create", "web", ...POD_CIDR);
    const child = host.startIgnoring(
      ...["HUP,INT", ...command.split(" "), "--", "sh", "-c"],
      "kill -HUP $PPID $$; kill -INT $PPID $$; echo both live; while :; do sleep 0.02; done",
    );
    assertEquals(await child.line(), "both live");
    assertEquals(child.ignored & 3n, 3n);
    assertEquals(await child.end("SIGTERM"), { code: 143, stderr: "" });
  });
}

for (const command of ["events", "node watch --repair"]) {
  Deno.test(`podnet ${command} ignores the signals that it was started to ignore`, async () => {
    await using host = await Host.start();
    await host.ok("node", "up", ...POD_CIDR);
    const child = host.startIgnoring("HUP,INT", ...command.split(" "));
    await using _making = keepMaking(host);
    assertMatch(await child.line(), /^\d{4}-.*Z {2}[a-z]/);
    assertEquals(child.ignored & 3n, 3n);
    assertEquals(await child.end("SIGTERM"), { code: 0, stderr: "" });
  });
}

Deno.test("podnet run makes a sandbox, runs its command in it and removes it", async () => {
  await using host = await Host.start();
  const { code, stdout, stderr } = await host.podnet(
    ...["run", "job", ...POD_CIDR, "--ip", "10.244.1.9", "-p", "80:80", "--"],
    ...["sh", "-c", "ip -brief -4 address show eth0; exit 5"],
  );
  assertEquals([code, stderr], [5, ""]);
  assertMatch(stdout, / 10\.244\.1\.9\/32/);
  assertEquals(await host.json("ls"), []);
  const links = await host.run("ip", "-brief", "link");
  assertEquals(links.stdout.trimEnd().split("\n").length, 1);
});

Deno.test("podnet run removes its sandbox when its command is ended by a signal or cannot be run", async () => {
  await using host = await Host.start();
  const child = host.start(
    ...["run", "job", ...POD_CIDR, "--", "sh", "-c"],
    "echo ready; while :; do sleep 0.02; done",
  );
  assertEquals(await child.line(), "ready");
  assertEquals(await child.end("SIGTERM"), { code: 143, stderr: "" });
  assertEquals((await host.podnet("run", "job", "--", "no-such")).code, 127);
  assertEquals(await host.json("ls"), []);
});

Deno.test("podnet run --keep leaves the sandbox, which no other run may then take over", async () => {
  await using host = await Host.start();
  await host.ok("run", "job", ...POD_CIDR, "--keep", "--", "true");
  const { code, stderr } = await host.podnet("run", "job", "--", "true");
  assertEquals(code, 4, stderr);
  assertMatch(
    stderr,
    /^podnet: sandbox "job" \([0-9a-f]{16}\) exists, and run makes a new one: [^\n]*podnet exec job[^\n]*\n$/,
  );
  const left = await host.json("ls") as { name: string }[];
  assertEquals(left.map(({ name }) => name), ["job"]);
});

Deno.test("podnet events prints what happens until it is told to stop", async () => {
  await using host = await Host.start();
  await host.ok("node", "up", ...POD_CIDR);
  const child = host.start("events", "-o", "json");
  let event;
  {
    await using _making = keepMaking(host);
    // It may begin to listen while a sandbox is half made, and tell of the rest of it first.
    do event = JSON.parse(await child.line()); while (event.type !== "created");
  }
  assertMatch(event.id, /^[0-9a-f]{16}$/);
  assertMatch(event.hostInterface, /^pn-/);
  assertEquals(await child.end("SIGTERM"), { code: 0, stderr: "" });
});

Deno.test("podnet ends without a word when nobody reads its output", async () => {
  await using host = await Host.start();
  await host.ok("node", "up", ...POD_CIDR);
  const { stdout, stderr } = await host.run(
    ...["bash", "-c", '"$@" | true; echo "${PIPESTATUS[0]}"', "bash"],
    ...host.podnetCommand("node", "show"),
  );
  assertEquals({ stdout, stderr }, { stdout: "141\n", stderr: "" });
});

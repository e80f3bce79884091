/** podman with podnet as a hook: podman gives containers a namespace and no network, and annotations say the rest. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { eventually } from "../support/patience.ts";
import { MACHINE_ADDRESSES } from "./machine.ts";
import { Podman } from "./podman.ts";
import { assertNothingLeft, networkState } from "./state.ts";
import { assertAnswered } from "./traffic.ts";

const HOOKS = "/etc/containers/oci/hooks.d";

const HOOKS_DIR = `[engine]
hooks_dir = ["${HOOKS}"]
`;

const CIDRS = ["10.244.1.0/24", "fd00:10:244:1::/64"];

/** podman with the hook installed, as docs/podman.md has it. */
async function startWithHook(): Promise<Podman> {
  await using owned = new AsyncDisposableStack();
  const podman = owned.use(await Podman.start());
  const { machine } = podman;
  const cidrs = CIDRS.flatMap((cidr) => ["--pod-cidr", cidr]);
  const install = ["oci-hook", "install", "--hooks-dir", HOOKS, ...cidrs];
  await machine.run("podnet", ...install);
  const file = "/etc/containers/containers.conf.d/hooks.conf";
  await machine.write(file, HOOKS_DIR);
  owned.move();
  return podman;
}

/** The options of a container with the hook. */
function hooked(
  name: string,
  annotations: Readonly<Record<string, string>> = {},
): string[] {
  const all = { "io.podnet.name": name, ...annotations };
  return [
    ...["--network", "none"],
    ...Object.entries(all)
      .flatMap(([key, value]) => ["--annotation", `${key}=${value}`]),
  ];
}

const PORT = { "io.podnet.publish": "8080:80" };

Deno.test("podman run, restart, kill and rm with the hook", async () => {
  await using podman = await startWithHook();
  const { machine } = podman;
  await (await podman.create("first", ...hooked("first", PORT))).remove();
  const before = await networkState(machine);
  const web = await podman.create("web", ...hooked("web", PORT));
  await podman.create("client", ...hooked("client"));
  const sandbox = async (name: string) =>
    JSON.parse(await machine.run("podnet", "inspect", name, "-o", "json"));
  const reached = async () => {
    const { addresses, netnsPath, ports } = await sandbox("web");
    assertEquals(ports.length, 1);
    using pod = machine.open(netnsPath);
    using other = machine.open((await sandbox("client")).netnsPath);
    for (const address of MACHINE_ADDRESSES) {
      const to = { address, port: 8080 };
      assertAnswered(pod, 80, [
        { from: "outside", network: machine.outside, to },
        { from: "node", network: machine.network, to },
        { from: "another container", network: other, to },
      ]);
    }
    const seen = await web.output("ip", "-o", "address");
    for (const address of addresses) {
      assertStringIncludes(seen, ` ${address}/`);
    }
    return addresses;
  };
  const addresses = await reached();
  await podman.run("restart", "-t", "0", "web");
  assertEquals(await reached(), addresses);

  // Whoever kills a container leaves it to podman's own process to run the hooks of the end.
  await podman.run("kill", "web");
  await eventually(async () => {
    const list = await machine.run("podnet", "ls", "-o", "json");
    assertEquals(
      JSON.parse(list).map(({ name }: { name: string }) => name),
      ["client"],
    );
  });
  await podman.run("start", "web");
  assertEquals(await reached(), addresses);

  const log = "/run/hook.log";
  const refused = await machine.attempt(
    ...["podman", "run", "-d", "--name", "other"],
    ...hooked("other", { ...PORT, "run.oci.hooks.stderr": log }),
    "localhost/busybox:1",
  );
  assert(refused.code !== 0);
  assertStringIncludes(refused.stderr, "exit code: 4");
  assertStringIncludes(await machine.read(log), "sandbox default/web");
  await machine.run("rm", log);
  assertEquals(await reached(), addresses);

  await podman.run("rm", "-f", "-t", "0", "other", "web", "client");
  await assertNothingLeft(machine, before);
});

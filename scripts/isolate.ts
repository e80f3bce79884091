/**
 * Runs a command in namespaces of its own: network, mounts, processes and
 * cgroups, with an empty `/run` and `lo` up. So no test and no demo can touch
 * the network, the mounts or the state of the machine, and no process it starts
 * outlives it, not even when it crashes.
 *
 *     deno run -A scripts/isolate.ts deno run -A scripts/demo.ts
 *
 * An unprivileged user gets a user namespace as well, and is root in it.
 *
 * @module
 */

/** Arguments of unshare(1) that make the private namespaces. */
function unshareArguments(): string[] {
  const user = Deno.uid() === 0 ? [] : ["--user", "--map-root-user"];
  return [
    ...user,
    "--net",
    "--mount",
    "--cgroup",
    "--propagation=private",
    "--pid",
    "--mount-proc",
    // Everything inside dies with unshare itself: SIGKILL from the kernel.
    "--kill-child",
  ];
}

/**
 * The first process inside. A shell, because process 1 has to collect the
 * orphans of its namespace, which Deno does not do. A cgroup2 mount replaces
 * what is there, because crun refuses a machine that mixes both versions.
 */
const firstProcess = `set -e
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -m 1777 "$TMPDIR"
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null || true
"$0" run --allow-ffi --no-config scripts/loopback_up.ts
"$@"
exit $?`;

/** The checkout, which must not lie under the directory that gets hidden. */
const root = new URL("..", import.meta.url).pathname;

/** Where temporary files go inside: it vanishes with the namespaces. */
export const TEMPORARY_DIRECTORY = "/run/tmp";

/**
 * Runs the command inside and returns its exit code. `deno` as its first word
 * is the Deno that runs this.
 */
export async function runIsolated(
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<number> {
  const words = command.map((word, at) =>
    at === 0 && word === "deno" ? Deno.execPath() : word
  );
  const needed = [root, Deno.execPath(), Deno.env.get("HOME") ?? "/"];
  const hidden = needed.find((path) => path.startsWith("/run/"));
  if (hidden !== undefined) {
    console.error(
      `${hidden} is under /run, which is private here: move it elsewhere`,
    );
    return 1;
  }
  const child = new Deno.Command("unshare", {
    args: [
      ...unshareArguments(),
      "sh",
      "-c",
      firstProcess,
      Deno.execPath(),
      ...words,
    ],
    env: { ...env, TMPDIR: TEMPORARY_DIRECTORY },
    cwd: root,
  }).spawn();
  // unshare blocks every signal that can be blocked while it waits.
  const stop = () => child.kill("SIGKILL");
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  const { code } = await child.status;
  for (const signal of signals) Deno.removeSignalListener(signal, stop);
  if (code !== 0) await explainRefusal();
  return code;
}

/** Says what to do when it is the namespaces that could not be made. */
async function explainRefusal(): Promise<void> {
  const { success, stderr } = await new Deno.Command("unshare", {
    args: [...unshareArguments(), "true"],
    stderr: "piped",
  }).output();
  if (success) return;
  console.error(new TextDecoder().decode(stderr).trimEnd());
  console.error(
    "The kernel refuses private namespaces here. Run as root with CAP_SYS_ADMIN (in a\n" +
      "container: --privileged), or allow user namespaces to this user.",
  );
}

if (import.meta.main) {
  if (Deno.args.length === 0) {
    console.error("usage: deno run -A scripts/isolate.ts COMMAND [ARGUMENT]…");
    Deno.exit(64);
  }
  Deno.exit(await runIsolated(Deno.args));
}

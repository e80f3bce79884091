/**
 * Runs a command in namespaces of its own: network, mounts, processes and
 * cgroups, with `/run` and `/tmp` empty and `lo` up. So no test and no demo can touch
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
 * orphans of its namespace, which Deno does not do. Its arguments are Deno, the
 * number of paths to keep, these paths, and the command.
 *
 * /run/netns becomes what `ip netns` makes of it once and for all. A cgroup2
 * mount replaces what is there, because crun refuses a machine that mixes both
 * versions.
 */
const firstProcess = `set -e
deno=$0
keep=$1
shift
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir -m 0755 /mnt/run
mkdir -m 1777 /mnt/tmp
while [ "$keep" -gt 0 ]; do
  case $1 in /run/*|/tmp/*)
    mkdir -p "/mnt$1"
    mount --rbind "$1" "/mnt$1" ;;
  esac
  shift
  keep=$((keep - 1))
done
mount --rbind /mnt/run /run
mount --rbind /mnt/tmp /tmp
umount -l /mnt
mkdir /run/netns
mount --bind /run/netns /run/netns
mount --make-shared /run/netns
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null || true
"$deno" run --quiet --allow-ffi --no-config scripts/loopback_up.ts
"$@"
exit $?`;

/** The checkout. */
const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** Directories that Deno needs, should they lie under /run or /tmp. */
function neededDirectories(): string[] {
  const deno = Deno.execPath();
  return [
    root,
    deno.slice(0, deno.lastIndexOf("/")),
    Deno.env.get("HOME") ?? "/",
    Deno.env.get("DENO_DIR") ?? "/",
  ];
}

/**
 * Runs the command inside and returns its exit code. `deno` as its first word
 * is the Deno that runs this. Of /run and /tmp, only the directories in `keep`
 * and what Deno needs are there.
 */
export async function runIsolated(
  command: readonly string[],
  keep: readonly string[] = [],
): Promise<number> {
  const words = command.map((word, at) =>
    at === 0 && word === "deno" ? Deno.execPath() : word
  );
  const kept = [...neededDirectories(), ...keep];
  const child = new Deno.Command("unshare", {
    args: [
      ...unshareArguments(),
      "sh",
      "-c",
      firstProcess,
      Deno.execPath(),
      String(kept.length),
      ...kept,
      ...words,
    ],
    env: { TMPDIR: "/tmp" },
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

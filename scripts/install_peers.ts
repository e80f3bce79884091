/**
 * Installs from Debian the programs that the tests and the demo talk to: real
 * OCI runtimes, `ip` and `nft` to read back what podnet did, header files to
 * compare constants with, a C compiler, shells; and those that the benchmark compares
 * podnet with. podnet itself needs none of them.
 *
 * @module
 */

/** What the tests and the demo need: a file that is there when the Debian package is installed. */
const peers: Record<string, string> = {
  conntrack: "/usr/sbin/conntrack",
  "containernetworking-plugins": "/usr/lib/cni/bridge",
  crun: "/usr/bin/crun",
  fish: "/usr/bin/fish",
  gcc: "/usr/bin/cc",
  iproute2: "/usr/sbin/ip",
  iptables: "/usr/sbin/iptables-nft",
  "libc6-dev": "/usr/include/stdio.h",
  "linux-libc-dev": "/usr/include/linux/netlink.h",
  // nft prints protocols by name when it knows their names.
  netbase: "/etc/protocols",
  nftables: "/usr/sbin/nft",
  procps: "/sbin/sysctl",
  runc: "/usr/sbin/runc",
  socat: "/usr/bin/socat",
  strace: "/usr/bin/strace",
  "util-linux": "/usr/bin/unshare",
  zsh: "/usr/bin/zsh",
};

/** What only the benchmark needs: those whom podnet is compared with. */
const rivals: Record<string, string> = {
  iptables: "/usr/sbin/iptables",
  netavark: "/usr/lib/podman/netavark",
};

/** What only the tests of `tests/clients` need: 142 MB on disk, 38 MB to load. */
const clients: Record<string, string> = {
  "busybox-static": "/bin/busybox",
  conmon: "/usr/bin/conmon",
  containerd: "/usr/bin/containerd",
  "containernetworking-plugins": "/usr/lib/cni/bridge",
  podman: "/usr/bin/podman",
};

/** What only the tests of `tests/cluster` and the benchmark of clusters need: 24 MB on disk. */
const engines: Record<string, string> = {
  "etcd-server": "/usr/bin/etcd",
  openssl: "/usr/bin/openssl",
};

const packages: Record<string, string> = {
  ...peers,
  ...rivals,
  ...clients,
  ...engines,
};

/** What the benchmark needs. */
export const BENCH_PEERS: readonly string[] = Object.keys({
  ...peers,
  ...rivals,
});

/** What the tests need but for those of `tests/clients` and `tests/cluster`. */
export const TEST_PEERS: readonly string[] = Object.keys(peers);

/** What the tests of `tests/clients` need besides. */
export const CLIENT_PEERS: readonly string[] = Object.keys(clients);

/** What the tests of `tests/cluster` need besides. */
export const ENGINE_PEERS: readonly string[] = Object.keys(engines);

/**
 * What is not unpacked of clients and engines: units, which Debian starts at once and at each boot, and a network. Nothing
 * here is to run on the machine itself.
 */
const NOT_UNPACKED = [
  "/etc/init.d/etcd",
  "/lib/systemd/system/etcd.service",
  "/lib/systemd/system/containerd.service",
  "/lib/systemd/*/podman*",
  "/etc/cni/net.d/87-podman-bridge.conflist",
];

/** Ends the wait for another package manager run, and for dead servers. */
const APT_OPTIONS = [
  "-qq",
  "-o",
  "DPkg::Lock::Timeout=120",
  "-o",
  "Acquire::Retries=2",
];

async function missingPackages(names: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    names.map(async (name) => {
      const path = packages[name];
      if (path === undefined) throw new RangeError(`unknown peer ${name}`);
      try {
        await Deno.stat(path);
        return undefined;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return name;
        throw error;
      }
    }),
  );
  return found.filter((name) => name !== undefined);
}

/** Runs apt-get; returns what it said when it failed. */
async function aptGet(...args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command("apt-get", {
      args: [...APT_OPTIONS, ...args],
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    if (success) return undefined;
    const decoder = new TextDecoder();
    return `${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return "there is no apt-get here";
    }
    throw error;
  }
}

/**
 * Installs those of the named packages that are missing, if none are named those of the tests. Returns why it cannot,
 * or undefined when all are there.
 */
export async function installPeers(
  names: readonly string[] = TEST_PEERS,
): Promise<string | undefined> {
  const missing = await missingPackages(names);
  if (missing.length === 0) return undefined;
  const byHand = `install by hand: apt-get install ${missing.join(" ")}`;
  if (Deno.uid() !== 0) {
    return `Debian packages are missing and only root can install them; ${byHand}`;
  }
  console.error(`installing from Debian: ${missing.join(" ")}`);
  const unpack =
    missing.some((name) =>
        CLIENT_PEERS.includes(name) || ENGINE_PEERS.includes(name)
      )
      ? NOT_UNPACKED.map((path) =>
        `--option=DPkg::Options::=--path-exclude=${path}`
      )
      : [];
  const install = [
    ...["install", "-y", "--no-install-recommends"],
    ...unpack,
    ...missing,
  ];
  // The package lists of a fresh machine are empty or old: refresh, once more.
  const refused = await aptGet(...install) === undefined
    ? undefined
    : await aptGet("update") ?? await aptGet(...install);
  if (refused !== undefined) return `${refused}\n${byHand}`;
  const still = await missingPackages(names);
  return still.length === 0
    ? undefined
    : `installed, but still not found: ${
      still.map((name) => `${packages[name]} of ${name}`).join(", ")
    }`;
}

if (import.meta.main) {
  const problem = await installPeers(
    Deno.args.length > 0 ? Deno.args : undefined,
  );
  if (problem !== undefined) {
    console.error(problem);
    Deno.exit(1);
  }
}

/**
 * A machine to run other people's container runtimes on: the programs of this one, and nothing that is written, mounted
 * or started on it stays. Next to it is an outside host, on the same segment.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { spawn } from "../../src/namespace/pod_io.ts";
import { IpAddress } from "../../src/net/ip.ts";
import type { Printed } from "../support/page.ts";
import { Underlay } from "../../src/testing/underlay.ts";

const SEGMENT = ["192.168.50.0/24", "fd50::/64"].map(Cidr.parse);

/** Addresses of the machine on the segment. */
export const MACHINE_ADDRESSES = ["192.168.50.1", "fd50::1"] as const;
/** Addresses of the outside host. */
export const OUTSIDE_ADDRESSES = ["192.168.50.254", "fd50::fe"] as const;

/**
 * Process 1 of the machine: collects orphans, as a shell does while it waits, and ends everything when its standard
 * input is closed, at the latest with the test process.
 *
 * Files go to memory. Those of the runtimes lie on no overlay, because they make overlays of them.
 */
const FIRST_PROCESS = `set -e
mount -t tmpfs tmpfs /mnt
: > /mnt/deno
mount --bind '${Deno.execPath()}' /mnt/deno
for directory in etc opt usr/local var; do
  upper=/mnt/upper/$directory work=/mnt/work/$directory
  mkdir -p $upper $work
  mount -t overlay -o "lowerdir=/$directory,upperdir=$upper,workdir=$work" overlay /$directory
done
for directory in cni containerd containers; do
  mkdir -p /var/lib/$directory
  mount -t tmpfs tmpfs /var/lib/$directory
done
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir /run/tmp
rm -rf /etc/cni/net.d
mkdir -p /etc/cni/net.d
echo ready
cat`;

const root = new URL("../../", import.meta.url).pathname;

/**
 * The command `podnet` of a machine, with the permissions that its help names. Its Deno is in nobody's home, whoever runs the
 * tests.
 */
const PODNET = `#!/bin/sh
exec /mnt/deno run --quiet --no-check --no-prompt --allow-ffi --allow-run \\
  --config='${root}deno.json' '${root}src/cli/main.ts' "$@"
`;

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a command came to. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A machine that ends with the test. */
export class Machine implements AsyncDisposable {
  /** Its network. */
  readonly network: NetworkNamespace;
  /** The network of the outside host. */
  readonly outside: NetworkNamespace;
  readonly #holder: Deno.ChildProcess;
  readonly #init: number;
  readonly #owned: DisposableStack;

  private constructor(
    network: NetworkNamespace,
    outside: NetworkNamespace,
    holder: Deno.ChildProcess,
    owned: DisposableStack,
  ) {
    this.network = network;
    this.outside = outside;
    this.#holder = holder;
    this.#init = childOf(holder.pid);
    this.#owned = owned;
  }

  /** Starts one whose network is up. */
  static async start(): Promise<Machine> {
    using owned = new DisposableStack();
    const underlay = owned.use(new Underlay());
    const attach = (number: number, addresses: readonly string[]) => {
      const namespace = owned.use(NetworkNamespace.create());
      const parsed = addresses.map((address) => IpAddress.parse(address));
      underlay.attach(namespace, number, parsed, SEGMENT);
      return namespace;
    };
    const network = attach(1, MACHINE_ADDRESSES);
    const outside = attach(254, OUTSIDE_ADDRESSES);
    const holder = spawn(network, "unshare", {
      args: [
        ...["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
        ...["sh", "-c", FIRST_PROCESS],
      ],
      stdin: "piped",
      stdout: "piped",
    });
    const reader = holder.stdout.getReader();
    const { done } = await reader.read();
    reader.releaseLock();
    if (done) throw new Error("the machine did not start");
    const machine = new Machine(network, outside, holder, owned.move());
    await machine.write("/usr/local/bin/podnet", PODNET, 0o755);
    return machine;
  }

  /** Where this process finds one of the machine's files. */
  path(path: string): string {
    // The link /var/run would lead to this process's own /run.
    const direct = path.replace(/^\/var\/run\//, "/run/");
    return `/proc/${this.#init}/root${direct}`;
  }

  /** Writes a file of the machine; directories above it are made. */
  async write(path: string, text: string, mode = 0o644): Promise<void> {
    const file = this.path(path);
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, text);
    await Deno.chmod(file, mode);
  }

  /** Reads a file of the machine. */
  async read(path: string): Promise<string> {
    return await Deno.readTextFile(this.path(path));
  }

  /** Names in one of the machine's directories, sorted; none when it is not there. */
  async list(path: string): Promise<string[]> {
    try {
      const entries = await Array.fromAsync(Deno.readDir(this.path(path)));
      return entries.map(({ name }) => name).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** Starts a program. The process returned is one that waits for it. */
  spawn(
    command: readonly string[],
    options: Deno.CommandOptions = {},
  ): Deno.ChildProcess {
    return new Deno.Command("nsenter", {
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      ...options,
      args: [
        ...[`--target=${this.#init}`, "--net", "--mount", "--pid"],
        ...command,
      ],
      cwd: "/",
      env: { PATH, NO_COLOR: "1", TMPDIR: "/run/tmp", ...options.env },
    }).spawn();
  }

  /** Runs a program to its end. */
  async attempt(...command: readonly string[]): Promise<Outcome> {
    const { code, stdout, stderr } = await this.spawn(command).output();
    const decoder = new TextDecoder();
    return {
      code,
      stdout: decoder.decode(stdout),
      stderr: decoder.decode(stderr),
    };
  }

  /** Runs a program that has to succeed, and returns what it printed. */
  async run(...command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.attempt(...command);
    assertEquals(code, 0, `${command.join(" ")}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  /** Runs lines of a page of docs/, as on a terminal. */
  async shell(script: string): Promise<Printed> {
    const { code, stdout } = await this.attempt(
      ...["sh", "-ec", `exec 2>&1\n${script}`],
    );
    return { code, output: stdout };
  }

  /** A network namespace of the machine, by its path. */
  open(path: string): NetworkNamespace {
    return NetworkNamespace.open(this.path(path));
  }

  /** Takes away the network namespaces that a runtime made and has no note of, as a reboot would. */
  async forgetNamespaces(): Promise<void> {
    for (const name of await this.list("/run/netns")) {
      await this.run("umount", `/run/netns/${name}`);
      await this.run("rm", `/run/netns/${name}`);
    }
  }

  /** Ends all of it: the kernel kills every process with the first one. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.stdin.close();
    await this.#holder.stdout.cancel();
    await this.#holder.status;
    this.#owned[Symbol.dispose]();
  }
}

/** The one child of a process. */
function childOf(pid: number): number {
  return Number(Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`));
}

/**
 * A small container runtime: crun runs the containers, podnet gives their pod its network. Read it from the top.
 *
 *     sudo deno run -A examples/tiny_runtime.ts ROOTFS COMMAND… [-- COMMAND…]…
 *
 * runs each command in a container of its own, all in one pod, until the last of them ends. ROOTFS is the directory of a
 * root file system, such as `debootstrap --variant=minbase bookworm ROOTFS` makes.
 *
 * @module
 */
import {
  type ContainerSpec,
  type Node,
  openNode,
  type Sandbox,
  type SandboxSpec,
} from "@podnet/podnet";

/** What podnet knows of a container, its `name` and `ports`, and what else the OCI runtime has to know. */
export interface ContainerOptions extends ContainerSpec {
  readonly rootfs: string;
  readonly args: readonly string[];
}

/** Containers with one network. */
export class Pod {
  readonly containers = new Map<string, Container>();

  private constructor(
    readonly sandbox: Sandbox,
    readonly directory: string,
    readonly ociRuntime: readonly string[],
  ) {}

  /** Step 1: the sandbox. The pod has its addresses and host ports from now on, whatever containers come and go. */
  static async create(
    node: Node,
    spec: SandboxSpec,
    ociRuntime = ["crun", "--cgroup-manager=disabled"],
  ): Promise<Pod> {
    const sandbox = await node.createSandbox(spec);
    const directory = await Deno.makeTempDir({ prefix: "tiny-runtime-" });
    return new Pod(sandbox, directory, [...ociRuntime, "--root", directory]);
  }

  /** Step 2: attach the container, which is refused a port that another one has, and start it. */
  async run({ rootfs, args, ...spec }: ContainerOptions): Promise<Container> {
    await this.sandbox.addContainer(spec);
    const id = `${this.sandbox.id}-${spec.name}`;
    const container = new Container(this, spec.name, id);
    this.containers.set(spec.name, container);
    const config = JSON.stringify(ociConfig(this.sandbox, rootfs, args));
    await Deno.mkdir(container.bundle);
    await Deno.writeTextFile(`${container.bundle}/config.json`, config);
    await container.start();
    return container;
  }

  /** Step 5: the containers, then the sandbox, which is not removed while one is attached. */
  async remove(): Promise<void> {
    const containers = [...this.containers.values()];
    await Promise.all(containers.map((container) => container.remove()));
    await this.sandbox.remove();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** A process with files of its own and the network of its pod. */
export class Container {
  /** An OCI bundle: the directory of config.json. */
  readonly bundle: string;
  /** What it wrote to stdout and stderr, in all its starts. */
  log = "";
  /** Resolves to the exit code, when the log is complete. */
  exited: Promise<number> = Promise.resolve(0);

  constructor(readonly pod: Pod, readonly name: string, readonly id: string) {
    this.bundle = `${pod.directory}/bundle-${name}`;
  }

  /** Step 3: `crun run`, which lives as long as the container. A container that ended can be started again. */
  async start(): Promise<void> {
    const child = this.#oci("run", "--bundle", this.bundle, this.id).spawn();
    const logged = [child.stdout, child.stderr].map(async (stream) => {
      const text = stream.pipeThrough(new TextDecoderStream());
      for await (const piece of text) this.log += piece;
    });
    let ended = false;
    this.exited = Promise.all([child.status, ...logged]).then(([status]) => {
      ended = true;
      return status.code;
    });
    while (!ended && !await this.#isRunning()) await delay(2);
  }

  /** Runs one more command in the running container. */
  async exec(...args: string[]): Promise<{ code: number; output: string }> {
    const { code, stdout, stderr } = await this.#oci("exec", this.id, ...args)
      .output();
    return { code, output: decode(stdout) + decode(stderr) };
  }

  /** Kills it. The pod keeps its network, the container its ports. */
  async stop(): Promise<void> {
    await this.#oci("kill", this.id, "KILL").output();
    await this.exited;
  }

  /** Step 4: once nothing of it runs, detach it. */
  async remove(): Promise<void> {
    await this.stop();
    await this.pod.sandbox.removeContainer(this.name);
    this.pod.containers.delete(this.name);
    await Deno.remove(this.bundle, { recursive: true });
  }

  async #isRunning(): Promise<boolean> {
    const { success, stdout } = await this.#oci("state", this.id).output();
    return success && JSON.parse(decode(stdout)).status === "running";
  }

  #oci(...args: string[]): Deno.Command {
    const [program = "", ...options] = this.pod.ociRuntime;
    return new Deno.Command(program, {
      args: [...options, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }
}

/** What podnet asks of an OCI runtime: to join one namespace by its path, and to mount two files. */
function ociConfig(sandbox: Sandbox, rootfs: string, args: readonly string[]) {
  const { hostname, hostsPath, resolvConfPath } = sandbox.dns;
  const file = { type: "bind", options: ["bind", "ro", "nosuid", "nodev"] };
  const caps = ["CAP_NET_BIND_SERVICE"];
  return {
    ociVersion: "1.0.2",
    hostname,
    root: { path: rootfs, readonly: true },
    process: {
      args,
      cwd: "/",
      env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: caps, permitted: caps, effective: caps },
      noNewPrivileges: true,
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
      { destination: "/etc/resolv.conf", source: resolvConfPath, ...file },
      { destination: "/etc/hosts", source: hostsPath, ...file },
    ],
    linux: {
      namespaces: [
        sandbox.ociNamespace(),
        ...["pid", "mount", "ipc", "uts"].map((type) => ({ type })),
      ],
      readonlyPaths: ["/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

if (import.meta.main) {
  const [rootfs = "", ...words] = Deno.args;
  const root = await Deno.realPath(rootfs);
  const podCidrs = ["10.88.0.0/24", "fd00:10:88::/64"];
  await using node = await openNode({ name: "tiny", podCidrs });
  const pod = await Pod.create(node, { name: `pod-${Deno.pid}` });
  console.log(`the pod has ${pod.sandbox.addresses.join(" and ")}`);
  try {
    for (const [i, command] of words.join("\0").split("\0--\0").entries()) {
      const args = command.split("\0");
      await pod.run({ name: `c${i + 1}`, rootfs: root, args });
    }
    const containers = [...pod.containers.values()];
    Deno.exitCode = await containers.at(-1)?.exited ?? 0;
    for (const { name, log } of containers) console.log(`${name}: ${log}`);
  } finally {
    await pod.remove();
  }
}

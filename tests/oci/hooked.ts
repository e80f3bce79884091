/**
 * Containers of crun and runc whose network podnet's hook makes: the runtimes are started on a lab's node, the hook is
 * installed as users install it.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { makeRootfs } from "../../scripts/rootfs.ts";
import {
  createLab,
  type Lab,
  type LabHost,
  type LabNode,
} from "../../src/testing/mod.ts";
import { nodeAt } from "../support/pods.ts";
import { until } from "../support/patience.ts";

/** The OCI runtimes that every test is run with, with their global options. */
export const OCI_RUNTIMES = {
  crun: ["crun", "--cgroup-manager=disabled"],
  runc: ["runc"],
} as const;

/** One of them. */
export type RuntimeName = keyof typeof OCI_RUNTIMES;

/** Programs that the containers have. */
const PROGRAMS = ["cat", "ip", "readlink", "sh", "sleep", "socat"];

const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

let directory = "";

/** Makes the module's root file system and installs the hook before its first test, and removes both after the last. */
export function withHook(): void {
  Deno.test.beforeAll(async () => {
    directory = await Deno.makeTempDir({ prefix: "oci-" });
    await Deno.mkdir(`${directory}/rootfs`);
    await makeRootfs(`${directory}/rootfs`, PROGRAMS);
    await run(null, podnet("oci-hook", "install", ...hookDirectories()));
  });
  Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
}

/** The options that tell `podnet oci-hook` where the module's hook is. */
export function hookDirectories(): string[] {
  return ["bin", "lib", "cache"]
    .flatMap((name) => [`--${name}-dir`, `${directory}/${name}`]);
}

/** Declares a test once for each OCI runtime. */
export function testRuntimes(
  name: string,
  test: (runtime: Runtime) => Promise<void>,
): void {
  for (const runtime of Object.keys(OCI_RUNTIMES) as RuntimeName[]) {
    Deno.test(`${name} (${runtime})`, async () => {
      await using started = await Runtime.start(runtime);
      await test(started);
    });
  }
}

/** The command line of `podnet`. */
export function podnet(...args: readonly string[]): string[] {
  return [
    ...[Deno.execPath(), "run", "--quiet", "--no-check", "--no-prompt"],
    ...["--allow-ffi", "--allow-run", main, ...args],
  ];
}

/** What a command came to. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a container is to be. */
export interface ContainerOptions {
  readonly id?: string;
  readonly args?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** Types of its namespaces besides mount. */
  readonly namespaces?: readonly string[];
  /** More arguments of the hook. */
  readonly hookArgs?: readonly string[];
  /** Files of the bundle, empty, that are mounted into /etc. */
  readonly files?: readonly string[];
  /** More namespaces, as config.json has them. */
  readonly more?: readonly { readonly type: string; readonly path: string }[];
  /** Sysctls that the runtime itself sets. */
  readonly sysctl?: Readonly<Record<string, string>>;
  /** The runtime's directory, in which it knows of its containers. */
  readonly root?: string;
}

/** An OCI runtime on a lab's node. */
export class Runtime implements AsyncDisposable {
  readonly name: RuntimeName;
  readonly lab: Lab;
  readonly node: LabNode;
  readonly directory: string;
  readonly #containers: HookedContainer[] = [];

  private constructor(name: RuntimeName, lab: Lab) {
    this.name = name;
    this.lab = lab;
    this.node = nodeAt(lab.nodes, 0);
    this.directory = Deno.makeTempDirSync({ prefix: `${name}-` });
  }

  /** Starts a lab. */
  static async start(name: RuntimeName): Promise<Runtime> {
    return new Runtime(name, await createLab());
  }

  /** The arguments by which the hook finds the lab's node. */
  selection(): string[] {
    const { name, stateDir } = this.node.node;
    return ["--node", name, "--state-dir", stateDir];
  }

  /** Makes a bundle for a container. */
  async bundle(options: ContainerOptions = {}): Promise<HookedContainer> {
    const container = await HookedContainer.write(this, options);
    this.#containers.push(container);
    return container;
  }

  /** Makes a bundle, and a container of it that runs. */
  async run(options: ContainerOptions = {}): Promise<HookedContainer> {
    const container = await this.bundle(options);
    await container.ok("create");
    await container.ok("start");
    return container;
  }

  /** The command line of the runtime. */
  command(root: string, ...args: readonly string[]): string[] {
    return [...OCI_RUNTIMES[this.name], "--root", root, ...args];
  }

  /** Removes what is left of its containers, and the lab. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const container of this.#containers) await container.discard();
    await this.lab[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** A container with the hook in its config.json. */
export class HookedContainer {
  readonly id: string;
  readonly bundle: string;
  /** The hook's executable and arguments, as config.json has them. */
  readonly hook: readonly string[];
  readonly #runtime: Runtime;
  readonly #root: string;

  private constructor(
    runtime: Runtime,
    { id, bundle, root, hook }: {
      id: string;
      bundle: string;
      root: string;
      hook: readonly string[];
    },
  ) {
    this.#runtime = runtime;
    this.id = id;
    this.bundle = bundle;
    this.#root = root;
    this.hook = hook;
  }

  /** Writes its bundle. */
  static async write(
    runtime: Runtime,
    options: ContainerOptions,
  ): Promise<HookedContainer> {
    const {
      id = "web",
      args = ["sleep", "1000"],
      annotations = {},
      namespaces = ["network", "pid", "ipc", "uts"],
      hookArgs = [],
      root = "state",
      files = [],
      more = [],
      sysctl = {},
    } = options;
    const bundle = await Deno.makeTempDir({
      dir: runtime.directory,
      prefix: "bundle-",
    });
    const { stdout } = await run(null, [
      `${directory}/bin/podnet-oci-hook`,
      ...["config", ...hookDirectories().slice(0, 2)],
      ...[...runtime.selection(), ...hookArgs],
    ]);
    const { hooks } = JSON.parse(stdout);
    const config = {
      ociVersion: "1.0.2",
      root: { path: `${directory}/rootfs` },
      annotations,
      process: {
        args,
        cwd: "/",
        env: ["PATH=/bin"],
        user: { uid: 0, gid: 0 },
        capabilities: { bounding: ["CAP_NET_BIND_SERVICE"] },
      },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs" },
        ...files.map((name) => ({
          destination: `/etc/${name}`,
          source: `${bundle}/${name}`,
          type: "bind",
          options: ["bind", "ro", "nosuid", "nodev"],
        })),
      ],
      hooks,
      linux: {
        // Control groups are the real machine's: of a name that no other run of the tests has.
        cgroupsPath: `/${bundle.slice(bundle.lastIndexOf("/") + 1)}`,
        namespaces: [
          ...["mount", ...namespaces].map((type) => ({ type })),
          ...more,
        ],
        sysctl,
      },
    };
    await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(config));
    for (const name of files) await Deno.writeTextFile(`${bundle}/${name}`, "");
    const [{ path, args: words }] = hooks.createRuntime;
    return new HookedContainer(runtime, {
      id,
      bundle,
      root: `${runtime.directory}/${root}`,
      hook: [path, ...words.slice(1)],
    });
  }

  /** Runs a command of the runtime for it; what belongs before its id is in the command. */
  async attempt(
    command: string,
    ...args: readonly string[]
  ): Promise<Outcome> {
    const { node } = this.#runtime;
    const line = (...words: readonly string[]) =>
      this.#runtime.command(
        this.#root,
        ...command.split(" "),
        ...words,
        this.id,
        ...args,
      );
    if (command !== "create") return await run(node, line());
    // The container keeps what it is given for as long as it lives: no pipe.
    const log = `${this.bundle}/create.log`;
    const quiet = ["sh", "-c", 'exec "$@" >"$0" 2>&1', log];
    const outcome = await run(node, [
      ...quiet,
      ...line("--bundle", this.bundle),
    ]);
    return { ...outcome, stderr: await Deno.readTextFile(log) };
  }

  /** Runs a command of the runtime for it, which has to succeed, and returns what it printed. */
  async ok(command: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.attempt(command, ...args);
    assertEquals(code, 0, `${command} ${args.join(" ")}: ${stderr}${stdout}`);
    return stdout.trim();
  }

  /** Runs a program in it. */
  async exec(...args: readonly string[]): Promise<string> {
    return await this.ok("exec", ...args);
  }

  /** Its process. */
  async pid(): Promise<number> {
    return JSON.parse(await this.ok("state")).pid;
  }

  /** Kills it, and waits until the runtime knows. */
  async kill(): Promise<void> {
    await this.ok("kill", "KILL");
    await this.untilStopped();
  }

  /** Waits until the runtime knows that it has ended. */
  async untilStopped(): Promise<void> {
    await until(async () =>
      JSON.parse(await this.ok("state")).status === "stopped"
    );
  }

  /** Starts the hook as the runtime would. */
  async callHook(state: unknown): Promise<Outcome> {
    const text = typeof state === "string" ? state : JSON.stringify(state);
    return await run(this.#runtime.node, this.hook, text);
  }

  /** Has the runtime forget it without its hooks, as a crash does. */
  async forget(): Promise<void> {
    const pid = await this.pid();
    Deno.kill(pid, "SIGKILL");
    await this.untilStopped();
    await Deno.remove(`${this.#root}/${this.id}`, { recursive: true });
  }

  /** Removes what is left of it. */
  async discard(): Promise<void> {
    await this.attempt("delete --force");
  }
}

/** Runs a program to its end, on a host or, without one, here. */
export async function run(
  host: LabHost | null,
  [program = "", ...args]: readonly string[],
  stdin?: string,
): Promise<Outcome> {
  const options: Deno.CommandOptions = {
    args,
    env: { NO_COLOR: "1" },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  };
  const child = host === null
    ? new Deno.Command(program, options).spawn()
    : host.spawn(program, options);
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    // It may end without reading all of it.
    await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
    await writer.close().catch(() => {});
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** Whether there is a file. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

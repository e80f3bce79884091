/**
 * containerd on a machine of its own, and what its CRI service makes there.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { Cri, type PodSandboxConfig, PROTOCOLS } from "./cri.ts";
import { installGates } from "./gate.ts";
import { IMAGE, IMAGE_ARCHIVE, writeImage } from "./image.ts";
import { eventually } from "../support/patience.ts";
import { Machine } from "./machine.ts";
import type { Network } from "./network.ts";
import { installOciRuntime } from "./oci_runtime.ts";

const SOCKET = "/run/containerd/containerd.sock";
const CONFIG = "/etc/containerd/config.toml";
const LOG = "/run/containerd.log";
const PID = "/run/containerd.pid";

const CONFIGURATION = `version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
`;

/** A port of the machine that leads to one of a pod. */
export interface HostPort {
  readonly protocol?: keyof typeof PROTOCOLS;
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp?: string;
}

/** What a pod is to be. */
export interface PodOptions {
  readonly ports?: readonly HostPort[];
  readonly dns?: PodSandboxConfig["dnsConfig"];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** containerd, on a machine of its own. */
export class Containerd implements AsyncDisposable {
  readonly machine: Machine;
  readonly cri: Cri;
  #daemon: Deno.ChildProcess | undefined;

  private constructor(machine: Machine) {
    this.machine = machine;
    this.cri = new Cri(machine.path(SOCKET));
  }

  /**
   * Starts it, with a network if one is given, on a machine that has an image.
   *
   * @param namespaces of containerd that have the image; it makes pods in the first one
   */
  static async start(
    network?: Network,
    namespaces: readonly string[] = ["k8s.io", "default"],
  ): Promise<Containerd> {
    await using owned = new AsyncDisposableStack();
    const machine = owned.use(await Machine.start());
    await network?.install(machine);
    await machine.write(CONFIG, CONFIGURATION);
    await installGates(machine);
    await installOciRuntime(machine);
    await writeImage(machine);
    const containerd = new Containerd(machine);
    await containerd.launch();
    for (const namespace of namespaces) {
      await containerd.ctr("-n", namespace, "images", "import", IMAGE_ARCHIVE);
    }
    owned.move();
    return containerd;
  }

  /** Starts the daemon, or starts it again after {@linkcode kill}, and waits until it serves. */
  async launch(): Promise<void> {
    const shell =
      `echo $$ >${PID}; exec containerd --config=${CONFIG} >>${LOG} 2>&1`;
    this.#daemon = this.machine.spawn(["sh", "-c", shell], {
      stdout: "null",
      stderr: "null",
    });
    await eventually(() => this.cri.call("Status", {}));
  }

  /** Kills the daemon as a crash does: its pods live on. */
  async kill(): Promise<void> {
    await this.machine.run("sh", "-c", `kill -KILL $(cat ${PID})`);
    await this.#daemon?.status;
  }

  /** Runs `ctr`. */
  async ctr(...args: readonly string[]): Promise<string> {
    return await this.machine.run("ctr", ...args);
  }

  /** Makes a pod by the CRI, as kubelet does. */
  async runPod(name: string, options: PodOptions = {}): Promise<CriPod> {
    const config = podConfig(name, options);
    const { podSandboxId } = await this.cri.call("RunPodSandbox", { config });
    return new CriPod(this, podSandboxId, config);
  }

  /** Ids of the pods that containerd knows. */
  async pods(): Promise<string[]> {
    const { items } = await this.cri.call("ListPodSandbox", {});
    return items.map(({ id = "" }) => id);
  }

  /** Ends the machine, and the daemon with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
    await this.#daemon?.status;
  }
}

/** What the CRI is asked for. */
export function podConfig(
  name: string,
  { ports = [], dns, annotations = {} }: PodOptions = {},
): PodSandboxConfig {
  return {
    metadata: { name, uid: `uid-of-${name}`, namespace: "default" },
    hostname: name,
    portMappings: ports.map(({ protocol = "tcp", ...port }) => ({
      protocol: PROTOCOLS[protocol],
      ...port,
    })),
    annotations,
    ...dns === undefined ? {} : { dnsConfig: dns },
  };
}

/** A pod of containerd. */
export class CriPod {
  readonly id: string;
  readonly #containerd: Containerd;
  readonly #config: PodSandboxConfig;

  constructor(containerd: Containerd, id: string, config: PodSandboxConfig) {
    this.id = id;
    this.#containerd = containerd;
    this.#config = config;
  }

  /** Its addresses, the first of them the one that counts. */
  async addresses(): Promise<string[]> {
    const { status } = await this.#status();
    const { ip = "", additionalIps = [] } = status.network ?? {};
    return [ip, ...additionalIps.map(({ ip = "" }) => ip)];
  }

  /** Whether containerd says that it is ready. */
  async ready(): Promise<boolean> {
    const { status } = await this.#status();
    return status.state === 0;
  }

  /** Path of its network namespace. */
  async netnsPath(): Promise<string> {
    const { info } = await this.#status();
    const { runtimeSpec } = JSON.parse(info["info"] ?? "{}");
    const namespaces: { type: string; path: string }[] =
      runtimeSpec.linux.namespaces;
    return namespaces.find(({ type }) => type === "network")?.path ?? "";
  }

  /** Its network namespace. */
  async network(): Promise<NetworkNamespace> {
    return this.#containerd.machine.open(await this.netnsPath());
  }

  /** Starts a container in it. */
  async start(
    name: string,
    ...command: readonly string[]
  ): Promise<CriContainer> {
    const { cri } = this.#containerd;
    const { containerId } = await cri.call("CreateContainer", {
      podSandboxId: this.id,
      config: { metadata: { name }, image: { image: IMAGE }, command },
      sandboxConfig: this.#config,
    });
    await cri.call("StartContainer", { containerId });
    return new CriContainer(cri, containerId);
  }

  /** Stops its containers and takes its network away. */
  async stop(): Promise<void> {
    const { cri } = this.#containerd;
    await cri.call("StopPodSandbox", { podSandboxId: this.id });
  }

  /** Removes what is left of it. */
  async remove(): Promise<void> {
    const { cri } = this.#containerd;
    await cri.call("RemovePodSandbox", { podSandboxId: this.id });
  }

  async #status() {
    const { cri } = this.#containerd;
    return await cri.call("PodSandboxStatus", {
      podSandboxId: this.id,
      verbose: 1,
    });
  }
}

/** A container of a pod. */
export class CriContainer {
  readonly #cri: Cri;
  readonly #id: string;

  constructor(cri: Cri, id: string) {
    this.#cri = cri;
    this.#id = id;
  }

  /** Runs a command in it that has to succeed, and returns what it printed. */
  async output(...command: readonly string[]): Promise<string> {
    const containerId = this.#id;
    const { stdout, stderr, exitCode } = await this.#cri
      .call("ExecSync", { containerId, command });
    assertEquals(exitCode, 0, `${command.join(" ")}: ${stdout}${stderr}`);
    return stdout.trim();
  }
}

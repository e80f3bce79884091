/**
 * podman on a machine of its own, with the network backend that reads configurations of CNI.
 *
 * @module
 */
import type { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { installGates } from "./gate.ts";
import { IMAGE, IMAGE_ARCHIVE, writeImage } from "./image.ts";
import { Machine } from "./machine.ts";
import type { Network } from "./network.ts";
import { installOciRuntime, OCI_RUNTIME } from "./oci_runtime.ts";

/** Without control groups: those are the real machine's, and tests do not touch them. */
const CONFIGURATION = `[containers]
cgroups = "disabled"
cgroupns = "host"

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"

[engine.runtimes]
crun = ["${OCI_RUNTIME}"]
`;

/** The backend, and the network of containers that name none. */
function networkConfiguration({ network }: Network): string {
  return `[network]
network_backend = "cni"
default_network = "${network}"
`;
}

/** podman, on a machine of its own. */
export class Podman implements AsyncDisposable {
  readonly machine: Machine;

  private constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Sets it up, with a network if one is given, on a machine that has an image. */
  static async start(network?: Network): Promise<Podman> {
    await using owned = new AsyncDisposableStack();
    const podman = owned.use(await Podman.startBare(network));
    await writeImage(podman.machine);
    await podman.run("load", "-i", IMAGE_ARCHIVE);
    owned.move();
    return podman;
  }

  /** Sets it up without an image. */
  static async startBare(network?: Network): Promise<Podman> {
    await using owned = new AsyncDisposableStack();
    const machine = owned.use(await Machine.start());
    await machine.write("/etc/containers/containers.conf", CONFIGURATION);
    if (network !== undefined) {
      await network.install(machine);
      await machine.write(
        "/etc/containers/containers.conf.d/network.conf",
        networkConfiguration(network),
      );
    }
    await installGates(machine);
    await installOciRuntime(machine);
    owned.move();
    return new Podman(machine);
  }

  /** Runs `podman`, which has to succeed, and returns what it printed. */
  async run(...args: readonly string[]): Promise<string> {
    return await this.machine.run("podman", ...args);
  }

  /** Starts a container that waits. */
  async create(
    name: string,
    ...options: readonly string[]
  ): Promise<PodmanContainer> {
    await this.run("run", "-d", "--name", name, ...options, IMAGE);
    return new PodmanContainer(this, name);
  }

  /** Ends the machine. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
  }
}

/** What podman tells of a container on a network. */
interface Endpoint {
  readonly IPAddress: string;
  readonly GlobalIPv6Address: string;
  readonly MacAddress: string;
}

/** What podman tells of a container's networks. */
interface NetworkSettings {
  readonly SandboxKey: string;
  readonly Networks: Readonly<Record<string, Endpoint>>;
}

/** A container of podman. */
export class PodmanContainer {
  readonly name: string;
  readonly #podman: Podman;

  constructor(podman: Podman, name: string) {
    this.#podman = podman;
    this.name = name;
  }

  /** What podman knows of its networks. */
  async settings(): Promise<NetworkSettings> {
    const format = "{{json .NetworkSettings}}";
    const text = await this.#podman.run(
      "inspect",
      this.name,
      "--format",
      format,
    );
    return JSON.parse(text);
  }

  /** Its addresses on a network. */
  async addresses(network: string): Promise<[string, string]> {
    const { [network]: endpoint } = (await this.settings()).Networks;
    const { IPAddress = "", GlobalIPv6Address = "" } = endpoint ?? {};
    return [IPAddress, GlobalIPv6Address];
  }

  /** Its network namespace. */
  async network(): Promise<NetworkNamespace> {
    return this.#podman.machine.open((await this.settings()).SandboxKey);
  }

  /** Runs a command in it that has to succeed, and returns what it printed. */
  async output(...command: readonly string[]): Promise<string> {
    return await this.#podman.run("exec", this.name, ...command);
  }

  /** Removes it. */
  async remove(): Promise<void> {
    await this.#podman.run("rm", "-f", "-t", "0", this.name);
  }
}

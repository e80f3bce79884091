/**
 * A pod sandbox: a handle of this process to what the kernel and the record hold.
 *
 * @module
 */
import { keepShape } from "../shape.ts";
import type { Bandwidth } from "../net/bandwidth.ts";
import type { PortMapping, SinglePortMapping } from "../hostport/mapping.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import {
  connect,
  listen,
  type PodConnectOptions,
  type PodListenOptions,
  type PodServeOptions,
  serve,
  spawn,
} from "../namespace/pod_io.ts";
import { PodWorker, type PodWorkerOptions } from "../namespace/worker.ts";
import { explained } from "./node/permission.ts";
import { changeSandbox } from "./pod/change.ts";
import { withContainer } from "./pod/containers.ts";
import type { NodeContext } from "./node/context.ts";
import { closePorts, hasPort, openPorts } from "./pod/live_ports.ts";
import type { DetachOptions } from "./networks/release_networks.ts";
import {
  attachmentsOf,
  describeSandbox,
  dnsOf,
  interfacesOf,
  type OciNamespace,
  routesOf,
  type SandboxAttachment,
  type SandboxDns,
  type SandboxInterface,
  type SandboxJson,
  type SandboxRoute,
} from "./pod/description.ts";
import type { Finding } from "./node/finding.ts";
import { podSysctl, type SandboxSysctl } from "./pod/pod_sysctl.ts";
import { openOwnNamespace, refuseGone } from "./pod/still_there.ts";
import { portContext, type SandboxRecord } from "./records/records.ts";
import { type RemoveOptions, removeSandbox } from "./pod/remove.ts";
import {
  checkPortMappings,
  parseBandwidthSpec,
  parseContainerSpec,
  parsePortMappings,
} from "../spec/parse.ts";
import {
  isNetworkAttachment,
  type NetworkAttachmentSpec,
} from "../spec/network_spec.ts";
import type {
  ContainerSpec,
  InterfaceSpec,
  NormalisedContainer,
} from "../spec/sandbox_spec.ts";

/** Makes the handle; for nodes, so that the constructor, and with it what a node is inside, stays private. */
export let newSandbox: (node: NodeContext, record: SandboxRecord) => Sandbox;

/**
 * A pod sandbox. Made by `Node.createSandbox()` and found again by `Node.openSandbox()`, by any process.
 *
 * Disposing it closes what this process holds. The sandbox itself lives until {@linkcode Sandbox.remove}. Once its node is
 * closed, whatever compares or changes it fails with `NodeClosed`.
 */
export class Sandbox implements AsyncDisposable {
  readonly #context: NodeContext;
  #record: SandboxRecord;
  #opened: NetworkNamespace | undefined;

  private constructor(context: NodeContext, record: SandboxRecord) {
    this.#context = context;
    this.#record = record;
  }

  static {
    newSandbox = (context, record) => new Sandbox(context, record);
    keepShape(new Sandbox(undefined as never, undefined as never));
  }

  /** Unique on the node. */
  get id(): string {
    return this.#record.id;
  }

  /** Unique in its namespace. */
  get name(): string {
    return this.#record.spec.name;
  }

  /** The group of names that the sandbox is in; not a network namespace. */
  get namespace(): string {
    return this.#record.spec.namespace;
  }

  /** As given in the spec. */
  get uid(): string | undefined {
    return this.#record.spec.uid;
  }

  /** As given in the spec. */
  get labels(): Readonly<Record<string, string>> {
    return this.#record.spec.labels;
  }

  /** One of each IP version that the node has a pod CIDR of, in the order of these. */
  get addresses(): readonly string[] {
    return this.#record.addresses;
  }

  /** MAC address of the pod's interface; undefined on the host network. */
  get mac(): string | undefined {
    return this.#record.link?.mac;
  }

  /** MTU of the pod's interface in bytes. */
  get mtu(): number {
    return this.#record.mtu;
  }

  /** The path that a container's runtime joins; it stays until the sandbox is removed. */
  get netnsPath(): string {
    return this.#context.state.pinPath(this.id);
  }

  /** The node's end of the pod's link; undefined on the host network. */
  get hostInterface(): string | undefined {
    return this.#record.link?.hostInterface;
  }

  /** The pod's end of the link; undefined on the host network. */
  get interfaceName(): string | undefined {
    return this.#record.link && this.#record.spec.interfaceName;
  }

  /** The routes over the pod's interface, default routes first; none on the host network, where the node's apply. */
  get routes(): readonly SandboxRoute[] {
    return routesOf(this.#context, this.#record);
  }

  /** Host ports that lead to the pod, one entry a port. */
  get ports(): readonly SinglePortMapping[] {
    return this.#record.ports;
  }

  /** Containers attached, with the ports they declare. */
  get containers(): readonly NormalisedContainer[] {
    return this.#record.containers;
  }

  /** Further interfaces of the pod, as they were attached. */
  get interfaces(): readonly SandboxInterface[] {
    return interfacesOf(this.#record);
  }

  /** Networks that plugins have attached the pod to, at this moment. */
  get attachments(): readonly SandboxAttachment[] {
    return attachmentsOf(this.#context, this.id);
  }

  /** Limits of the pod's bandwidth; empty when nothing is limited. */
  get bandwidth(): Bandwidth {
    return this.#record.bandwidth ?? {};
  }

  /** Whether the pod has the node's own network. */
  get hostNetwork(): boolean {
    return this.#record.spec.hostNetwork;
  }

  /** RFC 3339, exact to the millisecond; further digits tell sandboxes of one name apart. */
  get createdAt(): string {
    return this.#record.createdAt;
  }

  /** Host name and resolver files for the pod's containers. */
  get dns(): SandboxDns {
    return dnsOf(this.#context, this.#record);
  }

  /** The pod's sysctls, while it is there. Unlike those of a spec, names are not held against the safe list. */
  get sysctl(): SandboxSysctl {
    return podSysctl(() => this.#netns(), this.hostNetwork);
  }

  /** For an OCI runtime's `config.json`. */
  ociNamespace(): OciNamespace {
    return { type: "network", path: this.netnsPath };
  }

  /**
   * Listens on a TCP port of the pod; this process accepts. Needs `--allow-net`.
   *
   * @throws {SandboxError} `InvalidSpec`, `SandboxNotFound`, `InvalidNamespace`
   */
  listen(options: PodListenOptions): Deno.TcpListener {
    return listen(this.#netns(), options);
  }

  /**
   * Serves HTTP on a port of the pod; this process answers. Needs `--allow-net`.
   *
   * @throws {SandboxError} `InvalidSpec`, `SandboxNotFound`, `InvalidNamespace`
   */
  serve(
    options: PodServeOptions,
    handler: Deno.ServeHandler<Deno.NetAddr>,
  ): Deno.HttpServer<Deno.NetAddr> {
    return serve(this.#netns(), options, handler);
  }

  /**
   * Connects from inside the pod by TCP. Takes IP addresses only: a name would be resolved outside. Needs `--allow-net`.
   *
   * @throws {SandboxError} `InvalidSpec`, `SandboxNotFound`, `InvalidNamespace`
   */
  connect(options: PodConnectOptions): Promise<Deno.TcpConn> {
    return connect(this.#netns(), options);
  }

  /**
   * Starts a process inside the pod's network; its files are this process's. Needs `--allow-run`.
   *
   * @throws {SandboxError} `SandboxNotFound`, `InvalidNamespace`
   */
  spawn(
    command: string | URL,
    options?: Deno.CommandOptions,
  ): Deno.ChildProcess {
    return spawn(this.#netns(), command, options);
  }

  /**
   * Runs a module in a worker born inside the pod: every socket and name lookup of it, however asynchronous, is the pod's.
   * Needs `--allow-read` of the module.
   *
   * @throws {SandboxError} `SandboxNotFound`, `InvalidNamespace`
   */
  worker(url: string | URL, options?: PodWorkerOptions): PodWorker {
    return PodWorker.start(this.#netns(), url, options);
  }

  /**
   * Attaches a container, so that the sandbox is not removed under it. Attaching it again with the same ports does nothing.
   *
   * @throws {SandboxError} `ContainerPortInUse`, `ContainerConflict`, `InvalidSpec`, `SandboxNotFound`
   */
  async addContainer(container: ContainerSpec): Promise<void> {
    const added = parseContainerSpec(container);
    await this.#change((record) => {
      const containers = withContainer(record.containers, added);
      return containers === record.containers
        ? record
        : this.#keep({ ...record, containers });
    });
  }

  /**
   * Detaches a container. Detaching one that is not attached does nothing.
   *
   * @throws {SandboxError} `SandboxNotFound`
   */
  async removeContainer(name: string): Promise<void> {
    await this.#change((record) => {
      const containers = record.containers.filter((c) => c.name !== name);
      if (containers.length === record.containers.length) return record;
      return this.#keep({ ...record, containers });
    });
  }

  /**
   * Opens more host ports, all of them or none. Those that are open already stay.
   *
   * @throws {SandboxError} `HostPortInUse`, `HostAddressUnknown`, `InvalidSpec`, `SandboxNotFound`
   */
  addPorts(mappings: readonly PortMapping[]): Promise<void> {
    return this.#change((record) => {
      const context = portContext(record);
      const wanted = parsePortMappings(mappings, context);
      const added = wanted.filter((port) => !hasPort(record, port));
      // Ports of this very sandbox that lead elsewhere are as taken as any.
      if (record.ports.length > 0) {
        checkPortMappings(record.ports, added, context);
      }
      return openPorts(this.#context, record, wanted);
    });
  }

  /**
   * Closes host ports; connections through them end. Ports that are not open are no error.
   *
   * @throws {SandboxError} `InvalidSpec`, `SandboxNotFound`
   */
  removePorts(mappings: readonly PortMapping[]): Promise<void> {
    return this.#change((record) => {
      const unwanted = parsePortMappings(mappings, portContext(record));
      return closePorts(this.#context, record, unwanted);
    });
  }

  /**
   * Compares the sandbox, and the node it depends on, with the kernel; an empty list means that all is as it should be.
   *
   * @throws {SandboxError} `SandboxNotFound`, `NodeNotFound`, `NodeConflict`
   */
  check(): Promise<Finding[]> {
    return explained(this.#context.state, async () => {
      const { checkNode } = await import("./upkeep.ts");
      const found = await checkNode(this.#context, { ids: [this.id] });
      refuseGone(this.#context, this.#record);
      return found;
    });
  }

  /**
   * Attaches another interface. Attaching it again, the same in all, does nothing.
   *
   * @throws {SandboxError} `InvalidSpec`, also when another interface has its name or the default routes, or the node has no
   * such link; on a bridge `AddressInUse`, `AddressPoolExhausted`, `UnsupportedKernel`; `SandboxNotFound`
   */
  attach(spec: InterfaceSpec): Promise<void>;
  /**
   * Attaches the pod to a network of the Container Network Interface: its plugins make the interface, by that interface's
   * execution protocol. Attaching it again, the same in all, does nothing. Needs `--allow-run`.
   *
   * @throws {SandboxError} `InvalidSpec`, also when another interface has its name; `SandboxNotFound`, `Timeout`
   * @throws {CniPluginError} a plugin failed: what others had made is taken back
   */
  attach(spec: NetworkAttachmentSpec): Promise<SandboxAttachment>;
  attach(
    spec: InterfaceSpec | NetworkAttachmentSpec,
  ): Promise<SandboxAttachment | void> {
    return explained(this.#context.state, () => this.#attach(spec));
  }

  async #attach(
    spec: InterfaceSpec | NetworkAttachmentSpec,
  ): Promise<SandboxAttachment | void> {
    const upkeep = await import("./upkeep.ts");
    const context = this.#context;
    if (isNetworkAttachment(spec)) {
      return await upkeep.attachNetwork(context, this.#record, spec);
    }
    await upkeep.sweptIfItFails(
      context,
      () =>
        this.#change((record) => upkeep.attachToSandbox(context, record, spec)),
    );
  }

  /**
   * Detaches an interface that was attached, at first or later. Detaching one that is not there does nothing. One that
   * plugins made needs `--allow-run`.
   *
   * @throws {SandboxError} `SandboxNotFound`; `DeviceLost` unless forced
   * @throws {CniPluginError} unless forced: a plugin failed. The interface stays attached, and detaching it again may work
   */
  detach(name: string, options?: DetachOptions): Promise<void> {
    return explained(this.#context.state, () => this.#detach(name, options));
  }

  async #detach(name: string, options?: DetachOptions): Promise<void> {
    const upkeep = await import("./upkeep.ts");
    const context = this.#context;
    const record = this.#record;
    if (await upkeep.detachNetwork(context, record, name, options)) return;
    let bridges: readonly string[] | undefined;
    await this.#change((record) => {
      bridges = upkeep.bridgesLeftBy(record, name);
      return upkeep.detachInterface(context, record, name, options);
    });
    await upkeep.sweepBridges(context, bridges);
  }

  /**
   * Has the plugins of an attachment look whether all that they made is there (CHECK). Needs `--allow-run`.
   *
   * @throws {CniPluginError} of the first that misses something
   * @throws {CniError} when the network's version has no CHECK
   * @throws {SandboxError} `InvalidSpec` when there is no such attachment
   */
  checkAttachment(name: string): Promise<void> {
    return explained(this.#context.state, async () => {
      const { checkAttachment } = await import("./upkeep.ts");
      await checkAttachment(this.#context, this.#record, name);
    });
  }

  /**
   * Limits the pod's bandwidth anew; what is left out is not limited any more, `{}` lifts all limits. Connections go on.
   *
   * @throws {SandboxError} `InvalidSpec`, `SandboxNotFound`
   */
  async setBandwidth(limits: Bandwidth): Promise<void> {
    const wanted = parseBandwidthSpec(limits);
    const { limitBandwidth } = await import("./upkeep.ts");
    await this.#change((record) =>
      limitBandwidth(this.#context, record, wanted)
    );
  }

  /**
   * Removes the sandbox. Addresses and host ports are free when this resolves; the kernel destroys the link on its own
   * time, a few milliseconds later, or once the last process has left. Removing it again does nothing.
   *
   * @throws {SandboxError} `SandboxInUse` while containers are attached, `DeviceLost` when a link of the node cannot be given
   * back; neither when forced
   */
  async remove(options?: RemoveOptions): Promise<void> {
    this.#close();
    // Each of the options by name: a copy's shape would go with the last of them.
    const incarnation = this.createdAt;
    const { force = false } = options ?? {};
    await removeSandbox(this.#context, this.id, { force, incarnation });
  }

  /** The sandbox as plain data. */
  toJSON(): SandboxJson {
    return describeSandbox(this.#context, this.#record);
  }

  /** Closes this process's descriptor of the namespace. The sandbox stays. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#close());
  }

  #close(): void {
    this.#opened?.[Symbol.dispose]();
    this.#opened = undefined;
  }

  #netns(): NetworkNamespace {
    return this.#opened ??= openOwnNamespace(this.#context, this.#record);
  }

  #keep(record: SandboxRecord): SandboxRecord {
    this.#context.state.writeSandbox(record);
    return record;
  }

  async #change(
    change: (record: SandboxRecord) => SandboxRecord | Promise<SandboxRecord>,
  ): Promise<void> {
    this.#record = await changeSandbox(this.#context, this.#record, change);
  }
}

/**
 * A sandbox as plain data.
 *
 * @module
 */
import type { Bandwidth } from "../../net/bandwidth.ts";
import type { SinglePortMapping } from "../../hostport/mapping.ts";
import type { NodeContext } from "../node/context.ts";
import type { CniResult } from "../../cni/model/result.ts";
import { type NetworkNote, readNetworks } from "../records/network_notes.ts";
import type { SandboxRecord } from "../records/records.ts";
import type {
  InterfaceAttachment,
  NormalisedContainer,
  RouteSpec,
} from "../../spec/sandbox_spec.ts";

/** A route of a pod. */
export interface SandboxRoute {
  /** A network; `0.0.0.0/0` and `::/0` are all others. */
  readonly destination: string;
  /** The node's address in the pod CIDR. */
  readonly gateway: string;
}

/** Another interface of a pod. */
export interface SandboxInterface {
  /** Name in the pod. */
  readonly name: string;
  /** What it is made from. */
  readonly attachment: InterfaceAttachment;
  /** The node's end, a port of the bridge; missing when there is none. */
  readonly hostInterface?: string;
  /** MAC address; missing when it is the link's own. */
  readonly mac?: string;
  /** Bytes; missing when it is the link's own. */
  readonly mtu?: number;
  /** With prefix lengths. */
  readonly addresses: readonly string[];
  /** Routers on its networks. */
  readonly gateways: readonly string[];
  /** Whether the pod's default routes lead to the gateways. */
  readonly defaultRoute: boolean;
  /** Other routes over it. */
  readonly routes: readonly RouteSpec[];
}

/** A network that a pod is attached to by plugins. */
export interface SandboxAttachment {
  /** Name of the interface in the pod. */
  readonly name: string;
  /** Name of the network. */
  readonly network: string;
  /** `unfinished`: being attached or detached, or that was cut short or failed. */
  readonly state: "ready" | "unfinished";
  /** The version that its plugins are spoken to in. */
  readonly cniVersion: string;
  /** The plugins, in the order of ADD. */
  readonly plugins: readonly string[];
  /** What the plugins know the pod by: `CNI_CONTAINERID`. */
  readonly containerId: string;
  /** What the plugins made; empty when they did not finish. */
  readonly result: CniResult;
}

/** What the runtime mounts into the pod's containers. */
export interface SandboxDns {
  /** Host name of the pod. */
  readonly hostname: string;
  /** Path of the file for `/etc/resolv.conf`. */
  readonly resolvConfPath: string;
  /** Path of the file for `/etc/hosts`. */
  readonly hostsPath: string;
}

/** The fragment of an OCI runtime's `config.json` that puts a container into the sandbox: an entry of `linux.namespaces`. */
export interface OciNamespace {
  /** Always `network`. */
  readonly type: "network";
  /** The sandbox's `netnsPath`. */
  readonly path: string;
}

/** A sandbox as plain data, what `podnet inspect` prints. Each field is that of `Sandbox`. */
export interface SandboxJson {
  /** Unique on the node. */
  readonly id: string;
  /** Unique in its namespace. */
  readonly name: string;
  /** The group of names that the sandbox is in. */
  readonly namespace: string;
  /** As given in the spec. */
  readonly uid?: string;
  /** As given in the spec. */
  readonly labels: Readonly<Record<string, string>>;
  /** One of each IP version. */
  readonly addresses: readonly string[];
  /** Missing on the host network. */
  readonly mac?: string;
  /** Bytes. */
  readonly mtu: number;
  /** The path that containers join. */
  readonly netnsPath: string;
  /** The node's end of the pod's link; missing on the host network. */
  readonly hostInterface?: string;
  /** The pod's end of the link; missing on the host network. */
  readonly interfaceName?: string;
  /** Routes over the pod's interface, default routes first; none on the host network. */
  readonly routes: readonly SandboxRoute[];
  /** Further interfaces. */
  readonly interfaces: readonly SandboxInterface[];
  /** Networks that plugins have attached it to. */
  readonly attachments: readonly SandboxAttachment[];
  /** Host ports, one entry a port. */
  readonly ports: readonly SinglePortMapping[];
  /** Containers attached. */
  readonly containers: readonly NormalisedContainer[];
  /** Limits of the pod's bandwidth; missing when nothing is limited. */
  readonly bandwidth?: Bandwidth;
  /** Whether the pod has the node's own network. */
  readonly hostNetwork: boolean;
  /** Host name and resolver files. */
  readonly dns: SandboxDns;
  /** RFC 3339, exact to the millisecond; further digits tell sandboxes of one name apart. */
  readonly createdAt: string;
}

/** A sandbox whose record tells what it is. */
export interface KnownSandboxSummary extends SandboxJson {
  /** `creating`: being made, or cut short by a crash. */
  readonly state: "ready" | "creating";
  /** Only of damaged ones. */
  readonly reason?: undefined;
}

/** A sandbox whose record cannot be read: only its id is known. */
export interface DamagedSandboxSummary extends Unknown<SandboxJson> {
  /** Name of its directory. */
  readonly id: string;
  /** Tells it from the others. */
  readonly state: "damaged";
  /** Why the record cannot be read. */
  readonly reason: string;
}

/** The fields of `T`, all of them missing. */
export type Unknown<T> = {
  readonly [K in Exclude<keyof T, "id">]?: undefined;
};

/** A sandbox in a list; `state` tells whether more than its id is known. */
export type SandboxSummary = KnownSandboxSummary | DamagedSandboxSummary;

/** What a record tells. */
export function describeSandbox(
  context: NodeContext,
  record: SandboxRecord,
): SandboxJson {
  const { id, spec, link } = record;
  return {
    id,
    name: spec.name,
    namespace: spec.namespace,
    ...(spec.uid === undefined ? {} : { uid: spec.uid }),
    labels: spec.labels,
    addresses: record.addresses,
    ...(link === undefined ? {} : { mac: link.mac }),
    mtu: record.mtu,
    netnsPath: context.state.pinPath(id),
    ...(link === undefined ? {} : { hostInterface: link.hostInterface }),
    ...(link === undefined ? {} : { interfaceName: spec.interfaceName }),
    routes: routesOf(context, record),
    interfaces: interfacesOf(record),
    attachments: attachmentsOf(context, id),
    ports: record.ports,
    containers: record.containers,
    ...(record.bandwidth === undefined ? {} : { bandwidth: record.bandwidth }),
    hostNetwork: spec.hostNetwork,
    dns: dnsOf(context, record),
    createdAt: record.createdAt,
  };
}

/** The routes of a pod. */
export function routesOf(
  { pools }: NodeContext,
  { link, spec: { defaultRoute, routes } }: SandboxRecord,
): SandboxRoute[] {
  if (link === undefined) return [];
  return pools.flatMap(({ gateway, cidr: { family } }) =>
    [
      ...defaultRoute ? [family === 4 ? "0.0.0.0/0" : "::/0"] : [],
      ...routes.map(({ destination }) => destination)
        .filter((network) => network.includes(":") === (family === 6)),
    ].map((destination) => ({ destination, gateway: String(gateway) }))
  );
}

/** The further interfaces of a pod. */
export function interfacesOf(
  { interfaces }: SandboxRecord,
): SandboxInterface[] {
  return interfaces.map(({ spec, mac, port, chosen = [] }) => ({
    ...spec,
    addresses: [...spec.addresses, ...chosen],
    ...(port === undefined ? {} : { hostInterface: port.name }),
    ...(mac === undefined ? {} : { mac }),
  }));
}

/**
 * The networks that plugins have attached a pod to.
 *
 * @throws {SandboxError} `RecordInvalid`
 */
export function attachmentsOf(
  { state }: NodeContext,
  id: string,
): SandboxAttachment[] {
  return readNetworks(state, id).map(attachmentOf);
}

/** An attachment as its note tells it. */
export function attachmentOf(
  { name, network, state, cniVersion, plugins, containerId, made }: NetworkNote,
): SandboxAttachment {
  const result: CniResult = made === undefined
    ? { interfaces: [], ips: [], routes: [] }
    : JSON.parse(made);
  return { name, network, state, cniVersion, plugins, containerId, result };
}

/** The resolver's files of a pod. */
export function dnsOf(
  { state }: NodeContext,
  { id, spec }: SandboxRecord,
): SandboxDns {
  const directory = state.sandboxDirectory(id);
  return {
    hostname: spec.dns.hostname,
    resolvConfPath: `${directory}/resolv.conf`,
    hostsPath: `${directory}/hosts`,
  };
}

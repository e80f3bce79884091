/**
 * What ADD is to make: the node and the sandbox that configuration, runtime and environment ask for together.
 *
 * @module
 */
import type { PortMapping } from "../../hostport/mapping.ts";
import { Cidr } from "../../net/cidr.ts";
import type { NodeOptions } from "../../spec/node_options.ts";
import { Problems } from "../../spec/problems.ts";
import type { SandboxSpec } from "../../spec/sandbox_spec.ts";
import { parseArguments, requireKnown } from "../model/arguments.ts";
import {
  type CapabilityPort,
  readRuntimeConfig,
  type RuntimeConfig,
} from "../model/capabilities.ts";
import {
  type JsonObject,
  optional,
  readList,
  readObject,
  readString,
} from "../model/json.ts";
import type { PluginRequest } from "../model/network.ts";
import type { ResultDns } from "../model/result.ts";
import { attachmentId, attachmentLabels } from "./attachment_id.ts";
import type { Invocation } from "./invocation.ts";
import type { ContainerNamespace } from "./netns.ts";
import { readSettings, type Settings } from "./settings.ts";

/** What ADD is to make. */
export interface Wish {
  readonly node: NodeOptions;
  readonly spec: SandboxSpec & { readonly id: string };
  /** What the result says of names; undefined to say nothing. */
  readonly dns: ResultDns | undefined;
  /** Where in the configuration stands what the library has another name for. */
  readonly places: ReadonlyMap<string, string>;
}

/**
 * Reads all that is asked for.
 *
 * @throws {CniError} 4 for what `CNI_ARGS` has, 7 for the capabilities
 * @throws {SandboxError} `InvalidSpec` for the configuration
 */
export function readWish(
  invocation: Invocation,
  request: PluginRequest,
  container: Pick<ContainerNamespace, "hasDefaultRoute">,
): Wish {
  const args = readArguments(invocation.args);
  const capabilities = readRuntimeConfig(request.runtimeConfig);
  const problems = new Problems();
  const settings = problems.finish(
    readSettings(request.raw, capabilities.ipRanges ?? [], problems),
  );
  return {
    node: settings.node,
    spec: {
      ...specOf(invocation, request, args, capabilities, settings),
      defaultRoute: settings.isDefaultGateway ??
        (isFirst(invocation.ifname) && !container.hasDefaultRoute),
    },
    dns: readDns(capabilities, request.raw),
    places: new Map([
      ...settings.places,
      ...settings.routes.flatMap(({ place }, i) => [
        [`routes[${i}].destination`, `${place}.dst`] as const,
        [`routes[${i}].gateway`, `${place}.gw`] as const,
      ]),
    ]),
  };
}

/**
 * Whether an interface's name is that of a container's first one, such as `eth0`. Runtimes number a container's
 * interfaces, and some add them side by side, so that looking which others there are would depend on who is faster.
 */
function isFirst(ifname: string): boolean {
  return !/[1-9]\d*$/.test(ifname);
}

function specOf(
  { containerID, ifname, netns }: Invocation,
  { name: network, args: { ...conventions } }: PluginRequest,
  args: ContainerArguments,
  capabilities: RuntimeConfig,
  settings: Settings,
): Wish["spec"] {
  const key = { network, containerID, ifname };
  const { pod } = args;
  const ips = firstGiven(
    capabilities.ips,
    optional(conventions, "ips", readList(readString), "args.cni"),
    args.ips,
  );
  const mac = capabilities.mac ??
    optional(conventions, "mac", readString, "args.cni") ?? args.mac;
  const families = (settings.node.podCidrs ?? []).map(familyOf);
  const sysctls = Object.fromEntries(
    Object.entries(settings.sysctl).map((
      [name, value],
    ) => [name.replaceAll("/", "."), value]),
  );
  return {
    id: attachmentId(key),
    name: nameOf(pod.name ?? containerID, ifname),
    ...pod.namespace !== undefined && { namespace: pod.namespace },
    ...pod.uid !== undefined && { uid: pod.uid },
    labels: {
      ...readLabels(conventions),
      ...describe(capabilities, network),
      ...attachmentLabels(key),
    },
    netns,
    interfaceName: ifname,
    routes: settings.routes.map(({ dst, gw }) => ({
      destination: dst,
      ...gw !== undefined && { gateway: gw },
    })),
    ports: portsOf(capabilities.portMappings ?? [], families),
    addresses: ips.map((ip) => ip.replace(/\/\d+$/, "")),
    ...mac !== undefined && { mac },
    ...settings.mtu !== undefined && { mtu: settings.mtu },
    sysctls,
    // The administrator wrote them; who asks for a pod has no say in them.
    unsafeSysctls: Object.keys(sysctls),
  };
}

/** What `CNI_ARGS` asks for. */
interface ContainerArguments {
  readonly ips: readonly string[];
  readonly mac: string | undefined;
  readonly pod: {
    readonly name: string | undefined;
    readonly namespace: string | undefined;
    readonly uid: string | undefined;
  };
}

/** GATEWAY is heard and has no effect: the gateway is the node. */
const KNOWN_ARGUMENTS = [
  "IP",
  "MAC",
  "GATEWAY",
  "K8S_POD_NAME",
  "K8S_POD_NAMESPACE",
  "K8S_POD_UID",
  "K8S_POD_INFRA_CONTAINER_ID",
];

function readArguments(text: string): ContainerArguments {
  const args = parseArguments(text);
  requireKnown(args, KNOWN_ARGUMENTS);
  const given = (name: string) => args.pairs.get(name) || undefined;
  return {
    ips: given("IP")?.split(",") ?? [],
    mac: given("MAC"),
    pod: {
      name: given("K8S_POD_NAME"),
      namespace: given("K8S_POD_NAMESPACE"),
      uid: given("K8S_POD_UID"),
    },
  };
}

/** The first list with something in it. */
function firstGiven(
  ...lists: readonly (readonly string[] | undefined)[]
): readonly string[] {
  return lists.find((list) => list !== undefined && list.length > 0) ?? [];
}

/** Interfaces beyond the usual one bear their own name too, so that a list of sandboxes tells them apart. */
function nameOf(container: string, ifname: string): string {
  return ifname === "eth0"
    ? container
    : `${container}.${ifname.replace(/[^a-zA-Z0-9_.-]/g, "-")}`;
}

/** `args.cni.labels`, as the conventions of CNI have them. */
function readLabels(conventions: JsonObject): Record<string, string> {
  const labels = optional(
    conventions,
    "labels",
    readList((value, path) => {
      const label = readObject(value, path);
      return [
        optional(label, "key", readString, path) ?? "",
        optional(label, "value", readString, path) ?? "",
      ] as const;
    }),
    "args.cni",
  );
  return Object.fromEntries(labels ?? []);
}

/** What podnet has no use for, and people who look for the container may have. */
function describe(
  { aliases, cgroupPath }: RuntimeConfig,
  network: string,
): Record<string, string> {
  const names = aliases?.[network] ?? [];
  return {
    ...names.length > 0 && { "cni.aliases": names.join(",") },
    ...cgroupPath !== undefined && { "cni.cgroupPath": cgroupPath },
  };
}

/**
 * Runtimes name a mapping twice when two of their sources do, and all addresses of a family that the network does not
 * have: neither is an error to portmap.
 */
function portsOf(
  mappings: readonly CapabilityPort[],
  families: readonly (4 | 6 | undefined)[],
): PortMapping[] {
  const wildcards: Readonly<Record<string, 4 | 6>> = { "0.0.0.0": 4, "::": 6 };
  const wanted = mappings.filter(({ hostIP = "" }) => {
    const family = wildcards[hostIP];
    return family === undefined || families.length === 0 ||
      families.includes(family);
  });
  const distinct = new Map(
    wanted.map((mapping) => [JSON.stringify(mapping), mapping]),
  );
  return [...distinct.values()].map(
    ({ hostPort, containerPort, protocol, hostIP }) => ({
      hostPort,
      containerPort,
      // Whether it is one is the library's to say.
      protocol: protocol as NonNullable<PortMapping["protocol"]>,
      ...hostIP !== undefined && { hostIP },
    }),
  );
}

function familyOf(cidr: string): 4 | 6 | undefined {
  try {
    return Cidr.parse(cidr).family;
  } catch {
    return undefined;
  }
}

/** What the runtime says of names comes before what the configuration says. */
function readDns(
  { dns }: RuntimeConfig,
  raw: JsonObject,
): ResultDns | undefined {
  if (
    dns !== undefined &&
    dns.servers.length + dns.searches.length + dns.options.length > 0
  ) {
    return {
      ...dns.servers.length > 0 && { nameservers: dns.servers },
      ...dns.searches.length > 0 && { search: dns.searches },
      ...dns.options.length > 0 && { options: dns.options },
    };
  }
  const own = optional(raw, "dns", readObject);
  if (own === undefined) return undefined;
  const list = (key: string) =>
    optional(own, key, readList(readString), "dns") ?? [];
  const domain = optional(own, "domain", readString, "dns");
  const [nameservers, search, options] = [
    list("nameservers"),
    list("search"),
    list("options"),
  ];
  return {
    ...nameservers.length > 0 && { nameservers },
    ...domain !== undefined && { domain },
    ...search.length > 0 && { search },
    ...options.length > 0 && { options },
  };
}

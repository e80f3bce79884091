/**
 * What ADD is to make: the node and the sandbox that configuration, runtime and environment ask for together.
 *
 * @module
 */
import type { IdentifiedSpec } from "../../sandbox/adopted.ts";
import type { NodeOptions } from "../../spec/node_options.ts";
import { Problems } from "../../spec/problems.ts";
import type { InterfaceSpec, SandboxSpec } from "../../spec/sandbox_spec.ts";
import {
  type CapabilityPort,
  readRuntimeConfig,
  type RuntimeConfig,
} from "../model/capabilities.ts";
import type { PluginRequest } from "../model/network.ts";
import type { ResultDns } from "../model/result.ts";
import { attachmentLabels } from "../model/attachment_labels.ts";
import { attachmentId } from "./attachment_id.ts";
import { LIMIT_KEYS, limitsOf } from "./bandwidth.ts";
import { type ContainerWish, readContainer } from "./container.ts";
import { readDns } from "./dns.ts";
import { hostPorts } from "./host_ports.ts";
import type { Invocation } from "./invocation.ts";
import type { ContainerNamespace } from "./netns.ts";
import { readSettings, type Settings } from "./settings.ts";
import { readWiring, wiringKey } from "./wiring.ts";

/** What ADD is to make. */
export interface Wish {
  readonly node: NodeOptions;
  readonly spec: IdentifiedSpec;
  /** Host ports, which the spec has not yet: what of them there can be is the node's to say. */
  readonly ports: readonly CapabilityPort[];
  /** What the result says of names; undefined to say nothing. */
  readonly dns: ResultDns | undefined;
  /** Where stands what the library has another name for. */
  readonly places: {
    readonly node: Places;
    readonly spec: Places;
  };
}

/** Places by the library's paths, and by their first words. Those in the environment begin with `CNI_`. */
export type Places = ReadonlyMap<string, string>;

/**
 * Reads all that is asked for.
 *
 * @throws {CniError} 4 for what `CNI_ARGS` has, 7 for the capabilities
 * @throws {SandboxError} `InvalidSpec` for the configuration
 */
export function readWish(
  invocation: Invocation,
  request: PluginRequest,
  namespace: Pick<ContainerNamespace, "hasDefaultRoute">,
): Wish {
  const capabilities = readRuntimeConfig(request.runtimeConfig);
  const container = readContainer(invocation, request.args, capabilities);
  const problems = new Problems();
  const settings = problems.finish(
    readSettings(request.raw, capabilities.ipRanges ?? [], problems),
  );
  const spec = specOf(
    invocation,
    request.name,
    container,
    capabilities,
    settings,
  );
  const places = specPlaces(container, capabilities, settings);
  const others = {
    node: settings.node,
    ports: capabilities.portMappings ?? [],
    dns: readDns(capabilities, request.raw),
  };
  if (wiringKey(request.raw) === undefined) {
    return {
      ...others,
      spec: {
        ...spec,
        ...routedSpec(invocation, container, settings),
        defaultRoute: settings.isDefaultGateway ??
          (isFirst(invocation.ifname) && !namespace.hasDefaultRoute),
      },
      places: { node: settings.places, spec: places },
    };
  }
  const wired = problems.finish(
    readWiring(request.raw, capabilities.ipRanges ?? [], {
      ...container,
      ifname: invocation.ifname,
      mtu: settings.mtu,
      masquerade: settings.ipMasq ?? false,
      isDefaultGateway: settings.isDefaultGateway,
      routes: [...settings.defaultRoutes, ...settings.routes],
    }, problems),
  );
  return {
    ...others,
    spec: {
      ...spec,
      attachment: { type: "none" },
      interfaces: [wired.spec],
    },
    places: {
      node: settings.places,
      spec: new Map([...places, ...wired.places]),
    },
  };
}

/** The spec on a node with these pod CIDRs. */
export function specOn(
  { spec, ports }: Wish,
  podCidrs: readonly string[],
): IdentifiedSpec {
  const families = podCidrs.map((cidr) => cidr.includes(":") ? 6 : 4);
  return { ...spec, ports: hostPorts(ports, families) };
}

/** The addresses that an interface on a network of others is given, and the networks that it is given some of. */
export function addressesOf(
  { addresses = [], attachment }: InterfaceSpec,
): string[] {
  const ranges = attachment.type === "bridge" ? attachment.ranges ?? [] : [];
  return [...addresses, ...ranges.map(({ network }) => network)];
}

/** What only an interface on podnet's own network has. */
function routedSpec(
  { ifname }: Invocation,
  { ips, mac }: ContainerWish,
  settings: Settings,
): Partial<SandboxSpec> {
  return {
    interfaceName: ifname,
    routes: settings.routes.map(({ dst, gw }) => ({
      destination: dst,
      ...gw !== undefined && { gateway: gw },
    })),
    addresses: (ips?.value ?? []).map((ip) => ip.replace(/\/\d+$/, "")),
    ...mac !== undefined && { mac: mac.value },
    ...settings.mtu !== undefined && { mtu: settings.mtu },
  };
}

/**
 * Whether an interface's name is none that runtimes give a container's further ones. They number them, and some add them
 * side by side, so that looking which others there are would depend on who is faster.
 */
function isFirst(ifname: string): boolean {
  return !/^(?:eth|net)[1-9]\d*$/.test(ifname);
}

function specOf(
  { containerID, ifname, netns }: Invocation,
  network: string,
  { name, namespace, uid, labels }: ContainerWish,
  capabilities: RuntimeConfig,
  settings: Settings,
): Wish["spec"] {
  const key = { network, containerID, ifname };
  const sysctls = Object.fromEntries(
    Object.entries(settings.sysctl).map((
      [name, value],
    ) => [sysctlName(name, ifname), value]),
  );
  return {
    id: attachmentId(key),
    name: name.value,
    ...namespace !== undefined && { namespace: namespace.value },
    ...uid !== undefined && { uid: uid.value },
    labels: {
      ...labels,
      ...describe(capabilities, network),
      ...attachmentLabels(key),
    },
    netns,
    bandwidth: limitsOf(capabilities.bandwidth ?? settings.bandwidth),
    sysctls,
    // The administrator wrote them; who asks for a pod has no say in them.
    unsafeSysctls: Object.keys(sysctls),
  };
}

function specPlaces(
  { name, namespace, uid, ips, mac }: ContainerWish,
  { bandwidth }: RuntimeConfig,
  { routes }: Settings,
): Places {
  const places = Object.entries({
    name: name.place,
    namespace: namespace?.place,
    uid: uid?.place,
    addresses: ips?.place,
    mac: mac?.place,
    interfaceName: "CNI_IFNAME",
    netns: "CNI_NETNS",
    labels: "args.cni.labels",
    ports: "runtimeConfig.portMappings",
    sysctls: "sysctl",
    unsafeSysctls: "sysctl",
  }).flatMap(([path, place]) =>
    place === undefined ? [] : [[path, place] as const]
  );
  const limits = bandwidth === undefined ? "" : "runtimeConfig.bandwidth.";
  return new Map([
    ...places,
    ["bandwidth", `${limits}ingressRate and ${limits}egressRate`],
    ...LIMIT_KEYS.map(([path, key]) => [path, limits + key] as const),
    ...routes.flatMap(({ place }, i) => [
      [`routes[${i}].destination`, `${place}.dst`] as const,
      [`routes[${i}].gateway`, `${place}.gw`] as const,
    ]),
  ]);
}

/** By dots, with the interface's name for the word that stands for it in the configurations of tuning. */
function sysctlName(written: string, ifname: string): string {
  const swapped = (name: string) =>
    name.replace(/[./]/g, (letter) => letter === "." ? "/" : ".");
  const byDots = /[./]/.exec(written)?.[0] === "/" ? swapped(written) : written;
  return byDots.replaceAll("IFNAME", ifname.replaceAll(".", "/"));
}

/** What podnet has no use for, and people who look for the container may have. */
function describe(
  { aliases, cgroupPath }: RuntimeConfig,
  network: string,
): Record<string, string> {
  const names = new Map(Object.entries(aliases ?? {})).get(network) ?? [];
  return {
    ...names.length > 0 && { "cni.aliases": names.join(",") },
    ...cgroupPath !== undefined && { "cni.cgroupPath": cgroupPath },
  };
}

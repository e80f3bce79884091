/**
 * Rules between the fields of a spec, each checked on those parts that are valid by themselves.
 * @module
 */

import * as v from "valibot";
import {
  hostIPsConflict,
  lastHostPort,
  type PortMapping,
  type PortProtocol,
} from "../hostport/mapping.ts";
import { compareText } from "../text.ts";
import { AddressPool } from "../ipam/pool.ts";
import { Cidr } from "../net/cidr.ts";
import { IpAddress, type IpFamily } from "../net/ip.ts";
import type {
  InterfaceSpec,
  NormalisedContainer,
  RouteSpec,
} from "./sandbox_spec.ts";
import { mtu as mtuField } from "./fields.ts";
import { isObject, joinPath, type Placed, type Problems } from "./problems.ts";
import { isSafeSysctl, sysctlProblem } from "./sysctls.ts";

/** The least MTU that IPv6 works with (RFC 8200, 5). */
const MIN_MTU_IPV6 = 1280;

/** Each port is an element of its own; a thousand of them take 0.2 s. */
const MAX_HOST_PORTS = 1024;

/** What host ports are checked against. */
export interface PortContext {
  /** The IP versions that the sandbox has addresses of. */
  readonly families: readonly IpFamily[];
  /** Whether the pod is on the node's own network. */
  readonly hostNetwork: boolean;
}

/** A mapping as it is compared with others. */
interface PortEntry extends Placed<PortMapping> {
  readonly index: number;
  readonly protocol: PortProtocol;
  readonly hostIP: IpAddress | undefined;
}

/** Host ports: address families, the node's network, and no two that exclude each other. */
export function checkPorts(
  problems: Problems,
  ports: readonly Placed<PortMapping>[],
  context: PortContext,
): void {
  if (
    ports.length > 0 && !context.hostNetwork && context.families.length === 0
  ) {
    problems.add(
      "ports",
      "leave them out: the sandbox has no address on the node's own network that they could lead to",
    );
    return;
  }
  const entries: PortEntry[] = [];
  let count = 0;
  for (const { path, value } of ports) {
    const { protocol = "tcp", hostIP: text } = value;
    const hostIP = text === undefined ? undefined : IpAddress.parse(text);
    entries.push({ path, index: entries.length, value, protocol, hostIP });
    count += lastHostPort(value) - value.hostPort + 1;
    if (context.hostNetwork) {
      if (value.containerPort !== value.hostPort) {
        problems.add(
          `${path}.containerPort`,
          `write ${value.hostPort}, as for the host: on the node's network there is nothing to map`,
          value.containerPort,
        );
      }
    } else if (
      hostIP !== undefined && !context.families.includes(hostIP.family)
    ) {
      problems.add(
        `${path}.hostIP`,
        `the sandbox has no IPv${hostIP.family} address that ${hostIP} could lead to: write an IPv${
          hostIP.family === 4 ? 6 : 4
        } address, or give the node an IPv${hostIP.family} pod CIDR`,
        text,
      );
    }
  }
  if (count > MAX_HOST_PORTS) {
    problems.add(
      "ports",
      `write at most ${MAX_HOST_PORTS} host ports, not ${count}`,
    );
    // Comparing them all with each other would take its time, for nothing.
    return;
  }
  entries.sort((a, b) =>
    compareText(a.protocol, b.protocol) || a.value.hostPort - b.value.hostPort
  );
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as PortEntry;
    for (let j = i + 1; j < entries.length; j++) {
      const other = entries[j] as PortEntry;
      if (
        other.protocol !== entry.protocol ||
        other.value.hostPort > lastHostPort(entry.value)
      ) break;
      if (!hostIPsConflict(entry.hostIP, other.hostIP)) continue;
      const [first, second] = entry.index < other.index
        ? [entry, other]
        : [other, entry];
      problems.add(
        `${second.path}.hostPort`,
        `${entry.protocol} port ${other.value.hostPort} is taken by ${first.path} already: write another port, or host IPs of which neither includes the other`,
        second.value.hostPort,
      );
      break;
    }
  }
}

/** Containers: names once, and each port of a protocol once in the pod. */
export function checkContainers(
  problems: Problems,
  containers: readonly Placed<NormalisedContainer>[],
): void {
  const names = new Map<string, string>();
  const ports = new Map<string, string>();
  for (const { path, value: { name, ports: declared } } of containers) {
    const namesake = names.get(name);
    if (namesake !== undefined) {
      problems.add(
        joinPath(path, "name"),
        `"${name}" is the name of ${namesake} already: write another`,
        name,
      );
    }
    names.set(name, path);
    for (const [i, { port, protocol }] of declared.entries()) {
      const key = `${port}/${protocol}`;
      const owner = ports.get(key);
      if (owner !== undefined) {
        problems.add(
          joinPath(joinPath(path, "ports"), i),
          owner === name
            ? `"${name}" declares port ${key} twice: leave one out`
            : `containers "${owner}" and "${name}" both declare port ${key}: containers of a pod share its ports, so give one of them another`,
          port,
        );
      }
      ports.set(key, name);
    }
  }
}

/** Requested addresses: of the node's pod CIDRs, free for pods, one a family. */
export function checkAddresses(
  problems: Problems,
  addresses: readonly Placed<IpAddress>[],
  podCidrs: readonly Cidr[],
): void {
  const families = new Map<IpFamily, string>();
  for (const { path, value: address } of addresses) {
    const earlier = families.get(address.family);
    if (earlier !== undefined) {
      problems.add(
        path,
        `a pod has one IPv${address.family} address, and ${earlier} asks for one: leave this one out`,
        String(address),
      );
    }
    families.set(address.family, path);
    const cidr = podCidrs.find((cidr) => cidr.contains(address));
    if (cidr === undefined) {
      problems.add(
        path,
        `${address} is outside the node's pod CIDRs: write an address of ${
          podCidrs.join(" or ")
        }`,
        String(address),
      );
    } else if (!new AddressPool(cidr).isAllocatable(address)) {
      problems.add(
        path,
        `${address} is the network, gateway or broadcast address of ${cidr}: write another of its addresses`,
        String(address),
      );
    }
  }
}

/** Routes of a routed interface: of an IP version that it has, each once, by way of the node. */
export function checkRoutes(
  problems: Problems,
  routes: readonly Placed<RouteSpec>[],
  podCidrs: readonly Cidr[],
): void {
  const paths = new Map<string, string>();
  for (const { path, value: { destination, gateway } } of routes) {
    const network = Cidr.parse(destination);
    const place = joinPath(path, "destination");
    const earlier = paths.get(destination);
    paths.set(destination, path);
    const pool = podCidrs.find(({ family }) => family === network.family);
    if (network.prefixLength === 0) {
      problems.add(
        place,
        "leave it out: whether the interface has default routes is said by defaultRoute",
        destination,
      );
    } else if (earlier !== undefined) {
      problems.add(
        place,
        `${earlier} leads to ${destination} already: leave one of them out`,
        destination,
      );
    } else if (pool === undefined) {
      problems.add(
        place,
        `the sandbox has no IPv${network.family} address to leave with: give the node an IPv${network.family} pod CIDR, or leave it out`,
        destination,
      );
    } else if (gateway !== undefined) {
      const node = new AddressPool(pool).gateway;
      if (node.equals(IpAddress.parse(gateway))) continue;
      problems.add(
        joinPath(path, "gateway"),
        `write ${node}, or leave it out: at the other end of the link there is nobody but the node`,
        gateway,
      );
    }
  }
}

/** An MTU is enough for every IP version in use. */
export function checkMtu(
  problems: Problems,
  mtu: unknown,
  families: readonly IpFamily[],
  path = "mtu",
): void {
  if (typeof mtu !== "number" || !v.is(mtuField, mtu)) return;
  if (mtu < MIN_MTU_IPV6 && families.includes(6)) {
    problems.add(
      path,
      `write at least ${MIN_MTU_IPV6}, not ${mtu}: IPv6 does not work with less`,
      mtu,
    );
  }
}

/** Sysctls: of the network namespace; those not on the safe list are asked for by name. */
export function checkSysctls(
  problems: Problems,
  sysctls: unknown,
  unsafeSysctls: unknown,
): void {
  const allowed: readonly unknown[] = Array.isArray(unsafeSysctls)
    ? unsafeSysctls
    : [];
  for (const [i, name] of allowed.entries()) {
    const problem = typeof name === "string" ? sysctlProblem(name) : undefined;
    if (problem !== undefined) {
      problems.add(joinPath("unsafeSysctls", i), problem, name);
    }
  }
  if (!isObject(sysctls)) return;
  for (const [name, value] of Object.entries(sysctls)) {
    const problem = sysctlProblem(name) ??
      (isSafeSysctl(name) || allowed.includes(name)
        ? undefined
        : "is not on the list of safe sysctls: name it among the unsafe sysctls too if the pod is to have it");
    if (problem !== undefined) {
      problems.add(joinPath("sysctls", name), problem, value);
    }
  }
}

/**
 * Sysctls that would take IPv6 addresses away from interfaces of the pod, or not let them have any.
 *
 * @param routed the pod's own interface, if that has an IPv6 address
 */
export function checkIpv6Switches(
  problems: Problems,
  sysctls: unknown,
  routed: string | undefined,
  interfaces: readonly Placed<InterfaceSpec>[],
): void {
  if (!isObject(sysctls)) return;
  const further = interfaces.map(({ value }) => value).filter(hasIpv6Address)
    .map(({ name }) => name);
  const links = [...routed === undefined ? [] : [routed], ...further];
  if (links.length === 0) return;
  // Further interfaces are made when sysctls are set, and begin with the default.
  const common = further.length > 0 ? ["all", "default"] : ["all"];
  for (const link of [...common, ...links]) {
    const name = `net.ipv6.conf.${link.replaceAll(".", "/")}.disable_ipv6`;
    const value = sysctls[name];
    if (value === undefined || Number(value) === 0) continue;
    problems.add(
      joinPath("sysctls", name),
      `leave it out: the pod has IPv6 addresses on ${links.join(" and ")}`,
      value,
    );
  }
}

function hasIpv6Address({ addresses = [], attachment }: InterfaceSpec) {
  const ranges = attachment.type === "bridge" ? attachment.ranges ?? [] : [];
  return [...addresses, ...ranges.map(({ network }) => network)]
    .some((text) => text.includes(":"));
}

/** What a pod's own interface has. */
const OF_INTERFACE = [
  "addresses",
  "bandwidth",
  "interfaceName",
  "mac",
  "mtu",
  "routes",
];

/** A pod on the node's network has no link, address or namespace of its own to configure. */
export function checkHostNetwork(
  problems: Problems,
  fields: Readonly<Record<string, unknown>>,
): void {
  checkLeftOut(
    problems,
    fields,
    [
      ...OF_INTERFACE,
      "attachment",
      "defaultRoute",
      "interfaces",
      "netns",
      "sysctls",
    ],
    "on the host network the pod has the node's own network, which podnet does not change",
  );
}

/** A pod without an interface of podnet's network has nothing to configure it with. */
export function checkNoInterface(
  problems: Problems,
  fields: Readonly<Record<string, unknown>>,
): void {
  checkLeftOut(
    problems,
    {
      ...fields,
      ...fields["interfaceName"] === "eth0" && { interfaceName: [] },
    },
    OF_INTERFACE,
    'it is for the interface that a pod with the attachment "none" does not have',
  );
  if (fields["defaultRoute"] === true) {
    problems.add(
      "defaultRoute",
      "write it for one of the interfaces: the pod has no other",
      true,
    );
  }
}

function checkLeftOut(
  problems: Problems,
  fields: Readonly<Record<string, unknown>>,
  own: readonly string[],
  why: string,
): void {
  for (const field of own) {
    const value = fields[field];
    const isEmpty = value === undefined ||
      typeof value === "object" && value !== null &&
        Object.keys(value).length === 0;
    if (isEmpty) continue;
    problems.add(field, `leave it out: ${why}`, value);
  }
}

/**
 * What a sandbox is to be: the spec as callers write it, and its one normalised form. All of a spec is checked here, with
 * every problem reported at once, before anything is done.
 * @module
 */

import type * as v from "valibot";
import {
  comparePortMappings,
  expandPortMapping,
  type PortMapping,
  type PortProtocol,
  type SinglePortMapping,
} from "../hostport/mapping.ts";
import type { Cidr } from "../net/cidr.ts";
import { address } from "./spec_fields.ts";
import { isObject, Problems, wellFormed } from "./spec_problems.ts";
import {
  checkAddresses,
  checkContainers,
  checkHostNetwork,
  checkMtu,
  checkPorts,
  checkSysctls,
  type PortContext,
} from "./spec_rules.ts";
import {
  container,
  portMapping,
  portMappings,
  sandboxSpec,
} from "./spec_schema.ts";
import { isSafeSysctl } from "./spec_sysctls.ts";

/** A port that a container listens on. */
export interface ContainerPort {
  /** 1–65535. */
  readonly port: number;
  /**
   * Transport protocol.
   * @default "tcp"
   */
  readonly protocol?: PortProtocol;
}

/** A container of the pod, as far as the network is concerned. */
export interface ContainerSpec {
  /** Unique in the pod. */
  readonly name: string;
  /**
   * Ports it listens on; a number is a TCP port. Containers of a pod share its ports, so each can be declared once.
   * @default []
   */
  readonly ports?: readonly (number | ContainerPort)[];
}

/** A line of /etc/hosts. */
export interface HostAlias {
  /** IP address. */
  readonly ip: string;
  /** Names for it, at least one. */
  readonly hostnames: readonly string[];
}

/** How names resolve in the pod. What is left out is as on the node. */
export interface DnsSpec {
  /** IP addresses of name servers, at most 3. */
  readonly nameservers?: readonly string[];
  /** Domains to complete short names with, at most 32. */
  readonly searches?: readonly string[];
  /** Options of resolv.conf(5), such as `ndots:5`. */
  readonly options?: readonly string[];
  /**
   * Host name of the pod, at most 63 characters.
   * @default the sandbox's name, with `-` for `_`, cut to 63 characters
   */
  readonly hostname?: string;
  /**
   * More lines for /etc/hosts.
   * @default []
   */
  readonly hostAliases?: readonly HostAlias[];
}

/** What a sandbox is to be. */
export interface SandboxSpec {
  /** Letters, digits, `_`, `.` and `-`, at most 253 characters; unique in its namespace. */
  readonly name: string;
  /**
   * Kubernetes namespace, or any grouping of names.
   * @default "default"
   */
  readonly namespace?: string;
  /**
   * At most 128 characters, unique on the node.
   * @default derived from namespace and name
   */
  readonly id?: string;
  /** Kubernetes' UID of the pod. Another one makes it another pod. */
  readonly uid?: string;
  /**
   * Free text for the caller's own use.
   * @default {}
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Host ports that lead to the pod.
   * @default []
   */
  readonly ports?: readonly PortMapping[];
  /**
   * Containers to attach from the start.
   * @default []
   */
  readonly containers?: readonly ContainerSpec[];
  /**
   * Bytes, 68–65535, and at least 1280 when the pod has an IPv6 address.
   * @default the node's
   */
  readonly mtu?: number;
  /**
   * Unicast MAC address of the pod.
   * @default derived from the id
   */
  readonly mac?: string;
  /**
   * Addresses to have, at most one of each IP version, from the node's pod CIDRs.
   * @default a free one of each IP version that the node has a pod CIDR of
   */
  readonly addresses?: readonly string[];
  /**
   * Sysctls of the pod by dotted name, all of them `net.*`.
   * @default {}
   */
  readonly sysctls?: Readonly<Record<string, string>>;
  /**
   * Names of those `sysctls` that are not on the safe list, to say that they are meant.
   * @default []
   */
  readonly unsafeSysctls?: readonly string[];
  /** How names resolve in the pod. */
  readonly dns?: DnsSpec;
  /**
   * Whether the pod has the node's own network instead of one of its own.
   * @default false
   */
  readonly hostNetwork?: boolean;
  /**
   * A network namespace that the caller made, as an absolute path, to be the pod's instead of a new one. Removing the
   * sandbox leaves it.
   */
  readonly netns?: string;
  /**
   * Name of the pod's interface, at most 15 characters.
   * @default "eth0"
   */
  readonly interfaceName?: string;
}

/** {@linkcode ContainerSpec} with everything said. */
export interface NormalisedContainer {
  /** Unique in the pod. */
  readonly name: string;
  /** In ascending order. */
  readonly ports: readonly Required<ContainerPort>[];
}

/** {@linkcode DnsSpec} with everything said that does not depend on the node. */
export interface NormalisedDns extends DnsSpec {
  /** Host name of the pod. */
  readonly hostname: string;
  /** More lines for /etc/hosts, in order. */
  readonly hostAliases: readonly HostAlias[];
}

/**
 * {@linkcode SandboxSpec} with everything said that does not depend on the node: plain data, canonical texts, lists in
 * ascending order where order means nothing. It is a valid spec itself, with itself as the normalised form.
 */
export interface NormalisedSpec extends SandboxSpec {
  /** Grouping of names. */
  readonly namespace: string;
  /** Free text, by key. */
  readonly labels: Readonly<Record<string, string>>;
  /** One entry a port, no ranges. */
  readonly ports: readonly SinglePortMapping[];
  /** By name. */
  readonly containers: readonly NormalisedContainer[];
  /** The requested ones, IPv4 before IPv6. */
  readonly addresses: readonly string[];
  /** By name. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Those of `sysctls` that are not on the safe list. */
  readonly unsafeSysctls: readonly string[];
  /** How names resolve. */
  readonly dns: NormalisedDns;
  /** Whether the pod has the node's own network. */
  readonly hostNetwork: boolean;
  /** Name of the pod's interface. */
  readonly interfaceName: string;
}

/** What of its node a spec is checked against. */
export interface SpecContext {
  /** The node's pod CIDRs, at most one of each IP version. */
  readonly podCidrs: readonly Cidr[];
}

/**
 * Checks and normalises a spec.
 * @throws {SandboxError} InvalidSpec with every problem
 */
export function parseSandboxSpec(
  input: unknown,
  node: SpecContext,
): NormalisedSpec {
  const problems = new Problems();
  const spec = problems.parse(sandboxSpec, input);
  const fields = isObject(input) ? input : {};
  const families = node.podCidrs.map((cidr) => cidr.family);
  const hostNetwork = fields["hostNetwork"] === true;
  const ports = wellFormed(portMapping, fields["ports"], "ports");
  checkPorts(problems, ports, { families, hostNetwork });
  checkContainers(
    problems,
    wellFormed(container, fields["containers"], "containers"),
  );
  checkSysctls(problems, fields["sysctls"], fields["unsafeSysctls"]);
  if (hostNetwork) {
    checkHostNetwork(problems, fields);
  } else {
    checkMtu(problems, fields["mtu"], families);
    const addresses = wellFormed(address, fields["addresses"], "addresses");
    checkAddresses(problems, addresses, node.podCidrs);
  }
  return normalise(problems.finish(spec));
}

function normalise(spec: v.InferOutput<typeof sandboxSpec>): NormalisedSpec {
  return {
    ...spec,
    labels: sortedByKey(spec.labels),
    ports: normalisePorts(spec.ports),
    containers: spec.containers.toSorted((a, b) => compareText(a.name, b.name)),
    addresses: spec.addresses.toSorted((a, b) => a.family - b.family).map(
      String,
    ),
    sysctls: sortedByKey(spec.sysctls),
    unsafeSysctls: Object.keys(spec.sysctls).filter((name) =>
      !isSafeSysctl(name)
    ).sort(),
    dns: { ...spec.dns, hostname: spec.dns.hostname ?? hostnameOf(spec.name) },
  };
}

/**
 * Checks a list of port mappings on its own, as for a change of a sandbox that exists.
 * @throws {SandboxError} InvalidSpec with every problem
 */
export function parsePortMappings(
  input: unknown,
  context: PortContext,
): SinglePortMapping[] {
  const problems = new Problems();
  const ports = problems.parse(portMappings, input, "ports");
  checkPorts(problems, wellFormed(portMapping, input, "ports"), context);
  return normalisePorts(problems.finish(ports));
}

/**
 * Checks a container on its own, as for a sandbox that exists.
 * @throws {SandboxError} InvalidSpec with every problem
 */
export function parseContainerSpec(input: unknown): NormalisedContainer {
  const problems = new Problems();
  const spec = problems.parse(container, input);
  if (spec !== undefined) {
    checkContainers(problems, [{ path: "", value: spec }]);
  }
  return problems.finish(spec);
}

/** What {@linkcode specDifferences} calls the fields. The id is what both specs have in common. */
const FIELD_NAMES: Readonly<
  Record<Exclude<keyof NormalisedSpec, "id" | "unsafeSysctls">, string>
> = {
  name: "name",
  namespace: "namespace",
  uid: "UID",
  labels: "labels",
  hostNetwork: "host network",
  netns: "network namespace",
  addresses: "requested addresses",
  mac: "MAC address",
  mtu: "MTU",
  interfaceName: "interface name",
  ports: "host ports",
  containers: "containers",
  sysctls: "sysctls",
  dns: "DNS settings",
};

/**
 * The fields in which two specs of one id differ, for people.
 * @param existing the spec that a sandbox was made with
 * @param requested the spec that is asked for now
 * @returns such as `MTU (1400, requested 1500)`; empty when the two are the same
 */
export function specDifferences(
  existing: NormalisedSpec,
  requested: NormalisedSpec,
): string[] {
  return Object.entries(FIELD_NAMES).flatMap(([field, label]) => {
    const [before, after] = [existing, requested].map((spec) =>
      canonicalText(Object.entries(spec).find(([key]) => key === field)?.[1])
    );
    if (before === after) return [];
    const details = `${before ?? "none"}, requested ${after ?? "none"}`;
    return [details.length > 80 ? label : `${label} (${details})`];
  });
}

/** Equal data has equal texts, whatever the order of its keys. */
function canonicalText(value: unknown): string | undefined {
  return JSON.stringify(
    value,
    (_, member: unknown) => isObject(member) ? sortedByKey(member) : member,
  );
}

function normalisePorts(ports: readonly PortMapping[]): SinglePortMapping[] {
  return ports.flatMap(expandPortMapping).sort(comparePortMappings);
}

/** Names may have `_`, and labels that begin or end with `-` or are empty; host names may not. */
function hostnameOf(name: string): string {
  return name.replaceAll("_", "-").replace(/[-.]*\.[-.]*/g, ".").slice(0, 63)
    .replace(/[-.]+$/, "");
}

function sortedByKey<T>(
  record: Readonly<Record<string, T>>,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(record).sort(([a], [b]) => compareText(a, b)),
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

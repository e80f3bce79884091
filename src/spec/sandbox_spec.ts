/**
 * What a sandbox is to be: the spec as callers write it, and its one normalised form.
 * @module
 */

import type { Bandwidth } from "../net/bandwidth.ts";
import type {
  PortMapping,
  PortProtocol,
  SinglePortMapping,
} from "../hostport/mapping.ts";

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

/** How a pod's interface is wired: `routed`, a link of its own whose other end is the node's, who routes. */
export interface RoutedAttachment {
  /** Tells it from the others. */
  readonly type: "routed";
}

/** How a pod's interface is wired. */
export type AttachmentSpec = RoutedAttachment;

/** A route of a pod's interface. */
export interface RouteSpec {
  /** A network that has addresses of an IP version that the interface has one of. */
  readonly destination: string;
  /**
   * The next hop.
   * @default the interface's gateway of the IP version
   */
  readonly gateway?: string;
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
   * At most 127 characters, unique on the node.
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
   * How the pod's interface is wired. Not on the host network.
   * @default { type: "routed" }
   */
  readonly attachment?: AttachmentSpec;
  /**
   * Whether what no other route of the pod matches leaves by this interface. Without it the interface is used for what the
   * pod answers from its addresses (a rule looks up a table of the interface's own), and for `routes`.
   * @default true
   */
  readonly defaultRoute?: boolean;
  /**
   * More routes over the pod's interface.
   * @default []
   */
  readonly routes?: readonly RouteSpec[];
  /**
   * Limits of what goes into the pod and comes out of it. Not on the host network.
   * @default no limits
   */
  readonly bandwidth?: Bandwidth;
  /**
   * A network namespace that the caller made, as an absolute path, to be the pod's instead of a new one. It must not have
   * the interface, nor routes like those that the pod is to get: a second sandbox in it has another `interfaceName`, and no
   * `defaultRoute`. Removing the sandbox takes its link away and leaves the rest: lo stays up, sysctls stay set.
   */
  readonly netns?: string;
  /**
   * Name of the pod's interface, at most 15 characters. Not on the host network, where none is made.
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
  /** How the pod's interface is wired. */
  readonly attachment: AttachmentSpec;
  /** Whether it has the pod's default routes. */
  readonly defaultRoute: boolean;
  /** IPv4 before IPv6, each with its gateway if one was given. */
  readonly routes: readonly RouteSpec[];
}

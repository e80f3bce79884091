/**
 * What a sandbox is to be: the spec as callers write it, and its one normalised form.
 * @module
 */

import type { MacvlanMode } from "../net/macvlan_mode.ts";
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

/** A pod without an interface on the node's own network: it has those of `interfaces`, and what is attached later. */
export interface NoAttachment {
  /** Tells it from the others. */
  readonly type: "none";
}

/** How a pod's interface is wired. */
export type AttachmentSpec = RoutedAttachment | NoAttachment;

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

/**
 * A macvlan of a link of the node: on the network that the link is on, with a MAC of its own. Node and pod do not reach each
 * other by it. It goes when its parent does.
 */
export interface MacvlanAttachment {
  /** Tells it from the others. */
  readonly type: "macvlan";
  /** Name of the node's link. */
  readonly parent: string;
  /**
   * How it treats other macvlans of the parent: they reach each other (`bridge`), not at all (`private`), by way of a switch
   * that sends back (`vepa`), or there is no other (`passthru`).
   * @default "bridge"
   */
  readonly mode?: MacvlanMode;
}

/**
 * A link of the node, moved into the pod. It comes back with its name, number, state, MTU, MAC and addresses when the
 * interface is detached or the sandbox removed; its routes do not. Of what has no hardware nothing is left when the pod's
 * namespace is destroyed by somebody else.
 */
export interface DeviceAttachment {
  /** Tells it from the others. */
  readonly type: "device";
  /** Name of the node's link. */
  readonly device: string;
}

/** Addresses of a network, one of which a pod gets. */
export interface AddressRangeSpec {
  /** Such as `10.88.0.0/16`. */
  readonly network: string;
  /**
   * The first address.
   * @default the first after the network address
   */
  readonly first?: string;
  /**
   * The last address.
   * @default the last of the network, without the broadcast address
   */
  readonly last?: string;
}

/**
 * A port of a bridge of the node: pods on it share a network, and reach each other without the node's routing.
 *
 * If the node has the bridge, it is used as it is, whoever made it. Otherwise podnet makes it; one that podnet made goes with
 * its last port.
 */
export interface BridgeAttachment {
  /** Tells it from the others. */
  readonly type: "bridge";
  /** Name of the bridge. */
  readonly bridge: string;
  /**
   * The node's own addresses on the bridge, such as `10.88.0.1/16`: what makes the node a router for its pods. A bridge that
   * podnet did not make must have them.
   * @default []
   */
  readonly nodeAddresses?: readonly string[];
  /**
   * Whether what leaves the bridge for elsewhere gets an address of the node, save what goes to the node's own pods and bridges:
   * other nodes and their pods have no way to the bridge, so no `nonMasqueradeCidrs` are heeded. Of bridges that podnet makes,
   * with `nodeAddresses`.
   * @default false
   */
  readonly masquerade?: boolean;
  /**
   * Where a free address of each IP version comes from that `addresses` has none of.
   * @default []
   */
  readonly ranges?: readonly AddressRangeSpec[];
  /**
   * Whether the bridge sends back to the pod what came from it.
   * @default false
   */
  readonly hairpin?: boolean;
  /**
   * Whether the bridge takes nothing from the pod to other isolated pods. A node that is a router there does.
   * @default false
   */
  readonly isolated?: boolean;
  /**
   * Whether the pod cannot send with another MAC than its interface has (Linux 5.16).
   * @default true
   */
  readonly macSpoofCheck?: boolean;
}

/** What an interface of a pod is made from. */
export type InterfaceAttachment =
  | MacvlanAttachment
  | DeviceAttachment
  | BridgeAttachment;

/** Another interface of a pod, on a network that is not podnet's: no host ports lead to it. */
export interface InterfaceSpec {
  /** Name in the pod, at most 15 characters, unlike that of any other of its interfaces. */
  readonly name: string;
  /** What it is made from. */
  readonly attachment: InterfaceAttachment;
  /**
   * Addresses with prefix lengths, such as `192.168.1.7/24`. Whether they are free is known on a bridge only, where nobody
   * else of podnet's gets them.
   * @default []
   */
  readonly addresses?: readonly string[];
  /**
   * Routers on the interface's networks, at most one of each IP version. What the pod answers from the interface's
   * addresses goes to them.
   * @default []
   */
  readonly gateways?: readonly string[];
  /**
   * Whether the pod's default routes lead to the gateways. Then no other interface may have them.
   * @default false
   */
  readonly defaultRoute?: boolean;
  /**
   * Routes over the interface; without a gateway, to what is on its network.
   * @default []
   */
  readonly routes?: readonly RouteSpec[];
  /**
   * Bytes, 68–65535, and at least 1280 with an IPv6 address.
   * @default what the link has
   */
  readonly mtu?: number;
  /**
   * Unicast MAC address.
   * @default of a device its own, of others one that is derived from id and name
   */
  readonly mac?: string;
}

/** {@linkcode InterfaceSpec} with everything said that does not depend on the node. */
export interface NormalisedInterface extends InterfaceSpec {
  /** What it is made from. */
  readonly attachment:
    | Required<MacvlanAttachment>
    | DeviceAttachment
    | Required<BridgeAttachment>;
  /** In order. */
  readonly addresses: readonly string[];
  /** IPv4 before IPv6. */
  readonly gateways: readonly string[];
  /** Whether the pod's default routes lead to the gateways. */
  readonly defaultRoute: boolean;
  /** IPv4 before IPv6. */
  readonly routes: readonly RouteSpec[];
}

/** What a sandbox is to be. */
export interface SandboxSpec {
  /** Letters, digits, `_`, `.` and `-`, at most 253 characters; unique in its namespace among those without an `id`. */
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
   * @default derived from the id; random when it was made ahead (`NodeOptions.warm`)
   */
  readonly mac?: string;
  /**
   * Addresses to have, at most one of each IP version, from the node's pod CIDRs.
   * @default a free one of each IP version that the node has a pod CIDR of
   */
  readonly addresses?: readonly string[];
  /**
   * Sysctls of the pod by dotted name, all of them `net.*`. A slash stands for a dot in an interface's name, as to sysctl(8).
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
   * How the pod's interface on the node's own network is wired; with `none` there is none, and nothing that needs it:
   * addresses, MAC, MTU, routes, bandwidth and host ports. Not on the host network.
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
   * More interfaces. Not on the host network.
   * @default []
   */
  readonly interfaces?: readonly InterfaceSpec[];
  /**
   * Limits of what goes into the pod and comes out of it. Not on the host network.
   * @default no limits
   */
  readonly bandwidth?: Bandwidth;
  /**
   * A network namespace that the caller made, as an absolute path, to be the pod's instead of a new one. It must not have
   * the interface, nor routes like those that the pod is to get: a second sandbox in it has another `interfaceName`, and no
   * `defaultRoute`. Where IPv6 is switched off, it is on for the interface all the same, if that has an IPv6 address.
   * Removing the sandbox takes its link away and leaves the rest: lo stays up, sysctls stay set.
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
  /** By name. */
  readonly interfaces: readonly NormalisedInterface[];
  /** Whether it has the pod's default routes. */
  readonly defaultRoute: boolean;
  /** IPv4 before IPv6, each with its gateway if one was given. */
  readonly routes: readonly RouteSpec[];
}

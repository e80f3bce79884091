/**
 * What a node needs in the kernel to reach the pods of all others, as plain data.
 *
 * @module
 */
import { type NodePeers, TUNNEL_PREFIX } from "../hostport/peers.ts";
import type { IpFamily } from "../net/ip.ts";
import type { ClusterMember } from "./member.ts";
import type { PathError } from "./path_error.ts";
import type { NormalisedPathOptions } from "./path_options.ts";
import type { Underlay } from "./underlay.ts";

/** A tunnel over one IP version. */
export interface TunnelLink {
  /** Name of the link. */
  readonly name: string;
  /** VXLAN network identifier. */
  readonly vni: number;
  /** UDP port. */
  readonly port: number;
  /** Source of what is sent. */
  readonly local: string;
  /** MAC address. */
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
}

/** A route. It is of the main table unless it says otherwise. */
export interface PathRoute {
  /** A network. */
  readonly destination: string;
  /** Name of the member that has the destination; missing for what nobody has. */
  readonly member?: string;
  /** Only for packets of the node's own pods, by a table that {@linkcode PathPlan.rules} lead to. */
  readonly ofPods?: true;
  /** Missing when packets are refused: nobody has the destination. */
  readonly hop?: {
    /** Name of the link. */
    readonly link: string;
    /** The next hop; missing where the link has no neighbours. */
    readonly gateway?: string;
    /** Through a tunnel: the gateway is on the link though no route says so. */
    readonly onlink: boolean;
    /** Source address for what the node itself sends. */
    readonly source?: string;
  };
}

/** The MAC address of a next hop inside a tunnel. */
export interface PathNeighbour {
  /** Name of the link. */
  readonly link: string;
  /** Address of the next hop. */
  readonly address: string;
  /** Its MAC address. */
  readonly mac: string;
}

/** Behind which node a MAC address is. */
export interface PathForwarding {
  /** Name of the link. */
  readonly link: string;
  /** The MAC address. */
  readonly mac: string;
  /** Address of the node. */
  readonly remote: string;
}

/** The WireGuard interface and its peers. */
export interface WireguardPlan {
  /** Name of the link. */
  readonly link: string;
  /** UDP port. */
  readonly port: number;
  /** Bytes. */
  readonly mtu: number;
  /** The others, by their keys. */
  readonly peers: readonly {
    readonly publicKey: string;
    readonly endpoint: { readonly address: string; readonly port: number };
    readonly allowedIps: readonly string[];
  }[];
}

/** What paths depend on besides the members that they lead to. */
export interface PathFacts {
  readonly underlay: Underlay;
  /** This node. */
  readonly self: ClusterMember;
  readonly options: NormalisedPathOptions;
}

/** What one member adds to a plan, or the node itself does. No two have anything in common. */
export interface PathShare extends
  Pick<
    PathPlan,
    | "addresses"
    | "forwarding"
    | "neighbours"
    | "routes"
    | "rules"
    | "peers"
    | "refused"
  > {
  /** IP version of the tunnel that leads to the member. */
  readonly outer?: IpFamily;
  readonly wireguard?: WireguardPlan["peers"][number];
}

/** What should be in the kernel. Lists are sorted; no two plans that mean the same differ. */
export interface PathPlan {
  /** One an IP version at most. */
  readonly tunnels: readonly TunnelLink[];
  /**
   * Of tunnels: the node's IPv4 gateway. A link without any address drops what a strict reverse path filter would, however
   * loose its own is (fib_validate_source).
   */
  readonly addresses: readonly {
    readonly link: string;
    readonly address: string;
  }[];
  /** With that backend. */
  readonly wireguard?: WireguardPlan;
  /** Behind which node each MAC address is. */
  readonly forwarding: readonly PathForwarding[];
  /** Next hops inside tunnels. */
  readonly neighbours: readonly PathNeighbour[];
  /** Routes to pods, and pods' routes to nodes behind tunnels. */
  readonly routes: readonly PathRoute[];
  /** Networks of the node's own pods, whose packets find the routes that are for pods only. */
  readonly rules: readonly string[];
  /** For the rules of the node's table; sorted. */
  readonly peers: NodePeers;
  /** Members that there is no path to, or no whole one, and why. */
  readonly refused: readonly PathError[];
}

/** Name of the tunnel over an IP version. Pods' links begin with `pn-`. */
export function tunnelName(outer: IpFamily): string {
  return `${TUNNEL_PREFIX}${outer}`;
}
/** Name of the WireGuard link. */
export const WIREGUARD_LINK = "podnet-wg";
